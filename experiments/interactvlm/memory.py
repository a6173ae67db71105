"""How much memory a step of training takes, by calculation."""

from hoijax.experiments.interactvlm.settings import Config
from hoijax.nets import interactvlm as nets


def memory(sizes: nets.Config, config: Config, trained: int, kept: int, tokens: int) -> dict[str, float]:
    """Bytes of one step by calculation, for networks that fit no machine at hand.

    Args:
      sizes: of the network.
      config: of the run: batch, type of the arithmetic, remat.
      trained: parameters that learn.
      kept: parameters that stay.
      tokens: places of a sequence, the image's included.

    Returns:
      By what: `kept`, `trained` (parameter, gradient, running mean and Adam's two, float32), `between` (layers' inputs
      that remat keeps, or all that a layer keeps without it), `inside` (one layer again), `logits`, `masks`; `sum`.
    """
    width = 2 if config.compute == "bfloat16" else 4
    language, segmenter, batch = sizes.language, sizes.segmenter, config.batch
    scores = 2 * 4 * language.heads * tokens * tokens
    layer = width * tokens * (3 * language.hidden + 8 * language.width) + scores
    cells, maps = segmenter.cells**2, 30
    decoder = 4 * sizes.views * cells * (maps * segmenter.channels + segmenter.decoder_heads * (5 + sizes.views) * 4)
    pixels = 4 * sizes.views * segmenter.image**2 * 8 if config.loss_at == "pixels" else 0
    parts = {
        "kept": width * kept,
        "trained": 20 * trained,
        "between": batch * width * tokens * language.width * language.layers if config.remat else 0,
        "inside": batch * layer * (1 if config.remat else language.layers),
        "logits": 2 * 4 * batch * tokens * language.vocabulary,
        "masks": batch * (decoder + pixels),
    }
    return {name: float(value) for name, value in parts.items()} | {"sum": float(sum(parts.values()))}
