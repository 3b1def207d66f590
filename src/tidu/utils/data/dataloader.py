"""The DataLoader of `tidu.utils.data`, where older scripts import it from."""

from tidu.data import DataLoader, default_collate, default_convert, get_worker_info

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]
