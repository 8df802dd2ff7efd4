"""HideSeekLib: what the HideSeek module does, apart from the module file that Slicer loads.

Two layers. Scene side (levels, blocks, results, review, scene, views, export): MRML and numpy only,
no Qt, so that it runs in Slicer, on `slicer-core` and in tests alike. Panel side (widget, panel/,
worker_client, environment): Qt. The scene side never imports the panel side; neither imports torch.
"""

__version__ = "0.1.0"
