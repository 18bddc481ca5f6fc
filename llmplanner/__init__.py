"""LLM Planner: does this model fit, how long will it take, what will it cost?"""

__version__ = "0.1.0"
