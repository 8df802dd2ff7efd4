"""HideSeekLib: what the HideSeek module does, apart from the module file that Slicer loads.

Two layers. Scene side (levels, blocks, results, review, scene, views, export): MRML and numpy only,
no Qt, so that it runs in Slicer, on `slicer-core` and in tests alike. Panel side (widget, panel/,
worker_client, environment): Qt. The scene side never imports the panel side; neither imports torch.
"""

from HideSeekLib.wire.version import VERSION as __version__

__all__ = ["__version__"]
