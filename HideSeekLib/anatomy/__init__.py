"""Vertebrae in the scene: geometry, voxels, levels, blocks, terminology. No Qt."""
