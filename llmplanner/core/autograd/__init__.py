"""What a forward pass keeps for the backward pass: the layers of a model walked on shapes, as autograd."""
