from core.testing import installation, merchant

__all__ = ["installation", "merchant"]
