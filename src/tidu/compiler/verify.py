"""PLACEHOLDER"""
from typing import Any
def verify_form(name: str, form: Any) -> None:
    pass
