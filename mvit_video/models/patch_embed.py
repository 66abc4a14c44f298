"""From a clip to tokens: one convolution whose overlapping patches ("cubes") become the first tokens.

Letters: B clips, C width, T H W a grid, L = T * H * W tokens.
"""

from torch import Tensor, nn

from mvit_video.models.architecture import THW, Architecture


class PatchEmbed(nn.Module):
    """Cube embedding (MViT): kernel 3 x 7 x 7 and stride 2 x 4 x 4 in the published models.

    Source: SlowFast slowfast/models/stem_helper.py, PatchEmbed.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.proj = nn.Conv3d(
            architecture.in_channels,
            architecture.embed_dim,
            kernel_size=architecture.patch_kernel,
            stride=architecture.patch_stride,
            padding=architecture.patch_padding,
        )

    def forward(self, clip_BCTHW: Tensor) -> tuple[Tensor, THW]:
        """Embed a clip.

        Args:
            clip_BCTHW: (B, in_channels, T, H, W) floats; T in frames, H and W in pixels.

        Returns:
            Tokens (B, L, embed_dim) in the order t, h, w (w fastest), and their grid (t, h, w).
        """
        x_BCTHW = self.proj(clip_BCTHW)
        _, _, t, h, w = x_BCTHW.shape
        return x_BCTHW.flatten(2).transpose(1, 2), (t, h, w)
