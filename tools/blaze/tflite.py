"""Weights of a tflite file, layer by layer, as arrays of hoijax's layout."""

import dataclasses
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

_TYPES = {
    schema.TensorType.FLOAT32: np.float32,
    schema.TensorType.FLOAT16: np.float16,
    schema.TensorType.INT32: np.int32,
}
_CONV = schema.BuiltinOperator.CONV_2D
_DEPTHWISE = schema.BuiltinOperator.DEPTHWISE_CONV_2D
_DENSE = schema.BuiltinOperator.FULLY_CONNECTED
_PASSED_ON = (schema.BuiltinOperator.DEQUANTIZE, schema.BuiltinOperator.DENSIFY)


@dataclasses.dataclass(frozen=True)
class LayerWeights:
    """Kernel and bias of one layer: (h, w, I, O), (h, w, C) or (I, O), and (O,)."""

    kernel: np.ndarray
    bias: np.ndarray


def read_layers(data: bytes) -> list[LayerWeights]:
    """Every convolution and linear layer in the file's order, in the type that the file keeps."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    graph = model.subgraphs[0]
    constants = _constants(model)
    layers = []
    for op in graph.operators:
        code = model.operatorCodes[op.opcodeIndex]
        kind = max(code.builtinCode, code.deprecatedBuiltinCode)
        if kind in _PASSED_ON:
            constants[op.outputs[0]] = constants[op.inputs[0]]
        elif kind in (_CONV, _DEPTHWISE, _DENSE):
            layers.append(LayerWeights(_layout(kind, constants[op.inputs[1]]), constants[op.inputs[2]]))
    return layers


def _layout(kind: int, kernel: np.ndarray) -> np.ndarray:
    if kind == _CONV:
        return kernel.transpose(1, 2, 3, 0)  # output channels come first in the file
    return kernel[0] if kind == _DEPTHWISE else kernel.T


def _constants(model: Any) -> dict[int, np.ndarray]:
    constants = {}
    for i, tensor in enumerate(model.subgraphs[0].tensors):
        data = model.buffers[tensor.buffer].data
        if data is None or not len(data):
            continue
        values = np.frombuffer(np.asarray(data, np.uint8).tobytes(), _TYPES[tensor.type])
        constants[i] = values.reshape(tensor.shape) if tensor.sparsity is None else _densify(tensor, values)
    return constants


def _densify(tensor: Any, values: np.ndarray) -> np.ndarray:
    """The full array of a sparse tensor: its levels are walked in their order, blocks are the last ones.

    A dense level has every index; a compressed one keeps, per parent, a segment of the list of indices.
    """
    sparsity, shape = tensor.sparsity, tuple(tensor.shape)
    order, rank = list(sparsity.traversalOrder), len(shape)
    block_of = [] if sparsity.blockMap is None else list(sparsity.blockMap)
    parents, coordinates = np.zeros(1, np.int64), []
    for level in sparsity.dimMetadata:
        if level.format == schema.DimensionType.DENSE:
            counts = np.full(parents.shape, level.denseSize)
            index = np.tile(np.arange(level.denseSize), parents.size)
            children = np.arange(index.size)
        else:
            segments = np.asarray(level.arraySegments.values, np.int64)
            counts = segments[parents + 1] - segments[parents]
            starts = np.repeat(segments[parents] - np.cumsum(counts) + counts, counts)
            children = starts + np.arange(counts.sum())
            index = np.asarray(level.arrayIndices.values, np.int64)[children]
        coordinates = [np.repeat(c, counts) for c in coordinates] + [index]
        parents = children
    place = dict(zip(order, coordinates))
    sizes = {order[k]: level.denseSize for k, level in enumerate(sparsity.dimMetadata) if order[k] >= rank}
    full = [place[axis] for axis in range(rank)]
    for k, axis in enumerate(block_of):
        full[axis] = full[axis] * sizes[rank + k] + place[rank + k]
    dense = np.zeros(shape, values.dtype)
    dense[tuple(full)] = values[parents]
    return dense
