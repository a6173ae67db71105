"""Makes this folder's short forms of InteractVLM's and SAM's golden files: one image, two views, some cells.

python tests/nets/golden/shorten.py ../shared/golden
"""

import pathlib
import sys

import numpy as np

HERE = pathlib.Path(__file__).parent
KEPT = {
    "sam_image_encoder_small": {"image": np.s_[:1], "embedding": np.s_[:1]},
    "sam_prompt_encoder": {"no_mask": np.s_[..., :1, :1], "image_pe": np.s_[:, ::8]},
    "interactvlm_mvloc_decoder": {"image_embeddings": np.s_[1:3], "masks": np.s_[1:3], "iou": np.s_[1:3]},
    "interactvlm_featlift_vi_v1": {},
    "interactvlm_featlift_view_index": {},
    "interactvlm_splitter": {},
}
"""File, and what of its arrays; the others whole."""


def main() -> None:
    """Writes them."""
    for name, parts in KEPT.items():
        data = dict(np.load(pathlib.Path(sys.argv[1]) / f"{name}.npz"))
        np.savez_compressed(HERE / f"{name}.npz", **{k: v[parts[k]] if k in parts else v for k, v in data.items()})


if __name__ == "__main__":
    main()
