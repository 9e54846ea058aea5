"""From a network to files that others can use: timm, ONNX, torch.export, safetensors."""

from effsearch.exports.targets import TARGETS, Exported, export

__all__ = ["TARGETS", "Exported", "export"]
