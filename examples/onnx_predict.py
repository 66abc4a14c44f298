"""What happens in this video? With onnxruntime, PyAV and NumPy alone: neither torch nor mvit_video.

    python examples/onnx_predict.py mvitv2_s.onnx holiday.mp4

The file comes from ``mvit-video export``; which frames, sizes, colours and class names belong to the network
stands in it. The answer is that of ``mvit-video predict``, within rounding of the pictures. Left out here,
and done there: display rotation, damaged files, decoding only what is needed.

Axes: V views, T frames, H height, W width, C = 3 colours, K classes.
"""

import argparse
import json
import math
import os
import sys

import av
import numpy as np
import onnxruntime


def main(model_path, video_path, top_k=5):
    session = onnxruntime.InferenceSession(model_path, providers=["CPUExecutionProvider"])
    texts = session.get_modelmeta().custom_metadata_map
    facts = {name: json.loads(text) for name, text in texts.items()}
    scores_K = join([probabilities(session, clip) for clip in read_views(video_path, facts)], facts)
    for index in np.argsort(-scores_K)[:top_k]:
        name = facts["class_names"][index] if facts["class_names"] else f"class {index}"
        print(f"{scores_K[index]:7.2%}  {name}")


def probabilities(session, clip_CTHW):
    """Softmax of the logits of one clip: (K,). Several clips at a time work as well, in more memory."""
    (logits_1K,) = session.run(["logits"], {"clips": clip_CTHW[None]})
    exponentials_K = np.exp(logits_1K[0] - logits_1K[0].max())
    return exponentials_K / exponentials_K.sum()


def join(views_VK, facts):
    """One answer for the video: (K,)."""
    return np.max(views_VK, axis=0) if facts["ensemble"] == "max" else np.mean(views_VK, axis=0)


def read_views(path, facts):
    """Decode the clips of a video one after the other and cut out the crops: float32 (C, T, H, W)."""
    num_frames, fps = count_frames(path)
    for clip in range(facts["temporal_views"]):
        wanted = frame_indices(facts, clip, num_frames, fps)
        pictures = {}
        with av.open(path) as container:
            for number, frame in enumerate(container.decode(video=0)):
                if number in wanted:
                    pictures[number] = shrink(frame.to_ndarray(format="rgb24"), facts["short_side"])
                if number >= wanted[-1]:
                    break
        clip_THWC = np.stack([pictures[number] for number in wanted])
        clip_CTHW = (clip_THWC / 255 - facts["mean"]) / facts["std"]
        clip_CTHW = clip_CTHW.astype(np.float32).transpose(3, 0, 1, 2)
        for crop in range(facts["spatial_crops"]):
            yield cut(clip_CTHW, facts["crop_size"], crop if facts["spatial_crops"] == 3 else 1)


def count_frames(path):
    """Number of frames and frames per second, by decoding: headers are often wrong."""
    with av.open(path) as container:
        fps = float(container.streams.video[0].average_rate)
        return sum(1 for _ in container.decode(video=0)), fps


def frame_indices(facts, clip, video_frames, fps):
    """The frames of one of the clips that are spread over a video."""
    num_clips, num_frames = facts["temporal_views"], facts["num_frames"]
    if facts["sampling"] == "segments":  # a frame out of each of T equal parts
        edges = np.round((video_frames - 1) / num_frames * np.arange(num_frames + 1)).astype(int)
        first, last = edges[:-1], edges[1:]
        share = num_clips + 2 * (clip - (num_clips - 1) // 2)
        return list(first - (-(last - first + 1) * share) // (2 * num_clips) - 1)
    size = max(1.0, facts["sampling_rate"] * num_frames / facts["target_fps"] * fps)
    slack = max(video_frames - size, 0.0)
    if not facts["use_offset_sampling"]:
        start = slack * clip / num_clips
    elif num_clips == 1:
        start = math.floor(slack / 2)
    else:
        start = clip * math.floor(slack / (num_clips - 1))
    whole = math.floor(start)
    points = evenly(start - whole, start - whole + size - 1, num_frames)
    return [min(int(point) + whole, video_frames - 1) for point in points]


def evenly(first, last, count):
    """Points from first to last in float32, counted from both ends, as torch.linspace has them."""
    first, last = np.float32(first), np.float32(last)
    step = (last - first) / np.float32(max(count - 1, 1))
    numbers = np.arange(count, dtype=np.float32)
    return np.where(numbers < count // 2, first + step * numbers, last - step * (count - 1 - numbers))


def shrink(picture_HWC, short_side):
    """Scale so that the short side has so many pixels: bilinear, no antialiasing, as in training."""
    height, width = picture_HWC.shape[:2]
    if height < width:
        scaled = short_side, math.floor(width / height * short_side)
    else:
        scaled = math.floor(height / width * short_side), short_side
    picture = picture_HWC.astype(np.float32)
    for axis, (size, wanted) in enumerate(zip((height, width), scaled, strict=True)):
        places = np.maximum((np.arange(wanted) + 0.5) * (size / wanted) - 0.5, 0)
        near = np.minimum(places.astype(int), size - 1)
        far = np.minimum(near + 1, size - 1)
        weight = (places - near).astype(np.float32).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        picture = picture.take(near, axis) * (1 - weight) + picture.take(far, axis) * weight
    return np.round(picture).astype(np.uint8)


def cut(clip_CTHW, size, crop):
    """Crop 0 (left or top), 1 (centre) or 2 (right or bottom) along the longer side."""
    height, width = clip_CTHW.shape[2:]
    top, left = math.ceil((height - size) / 2), math.ceil((width - size) / 2)
    if height > width:
        top = (0, top, height - size)[crop]
    else:
        left = (0, left, width - size)[crop]
    return np.ascontiguousarray(clip_CTHW[:, :, top : top + size, left : left + size])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="what mvit-video export wrote as ONNX")
    parser.add_argument("video")
    words = parser.parse_args()
    for path in (words.model, words.video):
        if not os.path.isfile(path):
            parser.error(f"{path}: no such file")
    try:
        main(words.model, words.video)
    except (OSError, ValueError, IndexError) as error:  # FFmpeg's own are among the first two
        sys.exit(f"{words.video}: not a video, or damaged: {error}")
