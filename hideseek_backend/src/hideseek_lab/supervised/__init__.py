"""Systems that learn from lesion masks, and how they compare with ours.

Slice detection and four segmentation networks as Pawan, Rich et al. (osseous metastases of prostate
cancer on CT), supervised anatomical pretraining as Wuts et al. (SAP), and the clinical analysis of
both. Axis 0 of a scan runs to posterior, 1 to superior, 2 to the right, as in `volumes.crops`.
"""
