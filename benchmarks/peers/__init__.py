"""What other planners answer to the rows of the tables of measurements.

They are no dependency of the product. Their answers are kept in answers.csv, and who was asked when in
asked.csv, so that the page of accuracy can be written without them. To ask them anew, in environments outside
this repository:

    python -m benchmarks.peers.questions QUESTIONS.jsonl      # in the product's environment
    PEERS/bin/python benchmarks/peers/ask.py QUESTIONS.jsonl benchmarks/peers hf-mem accelerate ...
    LLM_ANALYSIS/bin/python benchmarks/peers/ask.py QUESTIONS.jsonl benchmarks/peers llm-analysis

PEERS holds hf-mem, accelerate, fitcheck-llm, whichllm, deepspeed, torch and transformers, LLM_ANALYSIS holds
llm-analysis alone, which needs Transformers 4.31.
"""
