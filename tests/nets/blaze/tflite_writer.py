"""Small tflite models from hoijax's weights, so that LiteRT can be asked about single layers and whole networks.

Written against the format's schema alone; nothing of hoijax's networks is used.
"""

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

OPERATORS = schema.BuiltinOperator
OPTIONS = schema.BuiltinOptions
RELU6 = schema.ActivationFunctionType.RELU6


class Writer:
    """A graph that grows operator by operator; tensors are named by their index."""

    def __init__(self, shape):
        self.model, self.graph = schema.ModelT(), schema.SubGraphT()
        self.model.version, self.model.subgraphs = 3, [self.graph]
        self.model.buffers, self.model.operatorCodes = [schema.BufferT()], []
        self.graph.tensors, self.graph.operators, self.graph.outputs = [], [], []
        self.graph.inputs = [self._tensor(shape)]

    def constant(self, array):
        """A tensor with values."""
        array = np.ascontiguousarray(array, np.int32 if np.issubdtype(array.dtype, np.integer) else np.float32)
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(array.tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        kind = schema.TensorType.INT32 if array.dtype == np.int32 else schema.TensorType.FLOAT32
        return self._tensor(array.shape, kind, len(self.model.buffers) - 1)

    def conv(self, x, kernel, bias, stride=1, same=True, activation=0):
        """Convolution; `kernel` (h, w, I, O)."""
        options = schema.Conv2DOptionsT()
        inputs = [x, self.constant(kernel.transpose(3, 0, 1, 2)), self.constant(bias)]
        return self._filter(
            "CONV_2D", "Conv2DOptions", options, inputs, kernel, kernel.shape[3], stride, same, activation
        )

    def depthwise(self, x, kernel, bias, stride=1, same=True, activation=0):
        """Convolution per channel; `kernel` (h, w, C)."""
        options = schema.DepthwiseConv2DOptionsT()
        options.depthMultiplier = 1
        inputs = [x, self.constant(kernel[None]), self.constant(bias)]
        name = "DepthwiseConv2DOptions"
        return self._filter(
            "DEPTHWISE_CONV_2D", name, options, inputs, kernel, kernel.shape[2], stride, same, activation
        )

    def pad(self, x, amount):
        """Zeros on all four sides."""
        b, h, w, c = self.shape(x)
        widths = self.constant(np.array([[0, 0], [amount, amount], [amount, amount], [0, 0]]))
        return self._operator(
            "PAD", [x, widths], (b, h + 2 * amount, w + 2 * amount, c), "PadOptions", schema.PadOptionsT()
        )

    def add(self, x, y):
        """Sum."""
        return self._operator("ADD", [x, y], self.shape(x), "AddOptions", schema.AddOptionsT())

    def double(self, x):
        """Bilinear resize to twice the size about half-pixel centres."""
        b, h, w, c = self.shape(x)
        options = schema.ResizeBilinearOptionsT()
        options.halfPixelCenters = True
        size = self.constant(np.array([2 * h, 2 * w]))
        return self._operator("RESIZE_BILINEAR", [x, size], (b, 2 * h, 2 * w, c), "ResizeBilinearOptions", options)

    def halve_max(self, x):
        """Maximum of two by two pixels."""
        b, h, w, c = self.shape(x)
        options = schema.Pool2DOptionsT()
        options.strideH = options.strideW = options.filterHeight = options.filterWidth = 2
        options.padding = schema.Padding.VALID
        return self._operator("MAX_POOL_2D", [x], (b, h // 2, w // 2, c), "Pool2DOptions", options)

    def depth_to_space(self, x):
        """Four channels to two by two pixels."""
        b, h, w, c = self.shape(x)
        options = schema.DepthToSpaceOptionsT()
        options.blockSize = 2
        return self._operator("DEPTH_TO_SPACE", [x], (b, 2 * h, 2 * w, c // 4), "DepthToSpaceOptions", options)

    def mean(self, x):
        """Mean over the picture."""
        b, _, _, c = self.shape(x)
        return self._operator(
            "MEAN", [x, self.constant(np.array([1, 2]))], (b, c), "ReducerOptions", schema.ReducerOptionsT()
        )

    def dense(self, x, kernel, bias):
        """Linear layer; `kernel` (I, O)."""
        inputs = [x, self.constant(kernel.T), self.constant(bias)]
        shape = (self.shape(x)[0], kernel.shape[1])
        return self._operator(
            "FULLY_CONNECTED", inputs, shape, "FullyConnectedOptions", schema.FullyConnectedOptionsT()
        )

    def logistic(self, x):
        """Sigmoid."""
        return self._operator("LOGISTIC", [x], self.shape(x))

    def shape(self, x):
        """Shape of a tensor."""
        return tuple(self.graph.tensors[x].shape)

    def content(self, *outputs):
        """The file's bytes."""
        self.graph.outputs = list(outputs)
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(self.model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    def run(self, picture, *outputs):
        """LiteRT's values of the tensors `outputs`."""
        interpreter = Interpreter(model_content=self.content(*outputs))
        interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], np.float32(picture))
        interpreter.invoke()
        return [interpreter.get_tensor(out["index"]) for out in interpreter.get_output_details()]

    def _filter(self, code, name, options, inputs, kernel, channels, stride, same, activation):
        b, *size = self.shape(inputs[0])[:3]
        size = [-(-n // stride) if same else (n - k) // stride + 1 for n, k in zip(size, kernel.shape[:2])]
        options.strideH = options.strideW = stride
        options.padding = schema.Padding.SAME if same else schema.Padding.VALID
        options.fusedActivationFunction = activation
        return self._operator(code, inputs, (b, *size, channels), name, options)

    def _tensor(self, shape, kind=schema.TensorType.FLOAT32, buffer=0):
        tensor = schema.TensorT()
        tensor.shape, tensor.type, tensor.buffer = [int(n) for n in shape], kind, buffer
        tensor.name = f"t{len(self.graph.tensors)}"
        self.graph.tensors.append(tensor)
        return len(self.graph.tensors) - 1

    def _operator(self, code, inputs, shape, name=None, options=None):
        entry = schema.OperatorCodeT()
        entry.builtinCode = entry.deprecatedBuiltinCode = getattr(OPERATORS, code)
        entry.version = 1
        self.model.operatorCodes.append(entry)
        operator = schema.OperatorT()
        operator.opcodeIndex = len(self.model.operatorCodes) - 1
        operator.inputs, operator.outputs = inputs, [self._tensor(shape)]
        if name is not None:
            operator.builtinOptionsType, operator.builtinOptions = getattr(OPTIONS, name), options
        self.graph.operators.append(operator)
        return operator.outputs[0]
