"""``drivers/dma-buf/``."""
