"""What looks through sliding windows: convolution and pooling."""
