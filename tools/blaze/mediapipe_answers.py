"""MediaPipe's own answer for one photograph; runs where mediapipe 0.10.21 is installed, without hoijax.

python mediapipe_answers.py PHOTOGRAPH OUT.npz
"""

import sys

import mediapipe
import numpy as np
from PIL import Image


def main():
    picture = np.array(Image.open(sys.argv[1]).convert("RGB"))
    height, width = picture.shape[:2]
    with mediapipe.solutions.pose.Pose(static_image_mode=True, model_complexity=1, enable_segmentation=True) as pose:
        answer = pose.process(picture)
    pixels = [[p.x * width, p.y * height, p.z * width] for p in answer.pose_landmarks.landmark]
    np.savez(
        sys.argv[2],
        **{
            "mediapipe.landmarks": np.float32(pixels),
            "mediapipe.visibility": np.float32([p.visibility for p in answer.pose_landmarks.landmark]),
            "mediapipe.metric": np.float32([[p.x, p.y, p.z] for p in answer.pose_world_landmarks.landmark]),
            "mediapipe.mask": np.packbits(answer.segmentation_mask > 0.5),
        },
    )


if __name__ == "__main__":
    main()
