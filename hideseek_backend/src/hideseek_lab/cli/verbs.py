"""The researchers' verbs, which the command has beside its own where this package is installed."""

from __future__ import annotations

from hideseek_backend.cli.verbs import Verb

VERBS: dict[str, Verb] = {
    "follow-up": Verb(
        "compare two results of one patient: new, gone, grown, shrunk lesions",
        "hideseek_lab.cli.follow_up",
        "hideseek follow-up results-april results-october --out change",
    ),
    "text": Verb(
        "print sentences for the report from what a reader accepted",
        "hideseek_lab.cli.text",
        "hideseek text results --decisions candidates.csv --language de",
    ),
    "sins": Verb(
        "write a worksheet of spinal instability for a reader to fill and sign",
        "hideseek_lab.cli.sins",
        "hideseek sins results --levels T12 --out worksheet",
    ),
    "worklist": Verb(
        "show a folder of cases and how far each is; draw a blinded order for readers",
        "hideseek_lab.cli.worklist",
        "hideseek worklist cases --plan AB CD --seed 7",
    ),
    "readers": Verb(
        "print kappa, ICC, detection F1 and time of a reader study",
        "hideseek_lab.cli.readers",
        "hideseek readers cases --truth truth.csv",
    ),
    "evaluate": Verb(
        "compare lesion masks with reference masks",
        "hideseek_lab.cli.evaluate",
        "hideseek evaluate results/lesions.nii.gz truth.nii.gz --out score",
    ),
    "dicom": Verb(
        "",
        "",
        "",
        (
            (
                "send",
                Verb(
                    "send DICOM objects to a PACS (C-STORE or STOW-RS)",
                    "hideseek_lab.cli.dicom_send",
                    "hideseek dicom send objects --to dicom://ORTHANC@127.0.0.1:4242",
                ),
            ),
            (
                "fetch",
                Verb(
                    "fetch a study from a PACS by its accession number",
                    "hideseek_lab.cli.dicom_fetch",
                    "hideseek dicom fetch A123 --from dicom://ORTHANC@127.0.0.1:4242 --out study",
                ),
            ),
        ),
    ),
    "train": Verb(
        "train a model",
        "hideseek_lab.cli.train",
        "hideseek train --preset healthy --run runs/healthy --out runs/healthy/model",
    ),
    "manifest": Verb(
        "write the table of patients, scans and labels that training and cohorts read",
        "",
        "hideseek manifest from verse DIR --out manifest.csv",
        (
            (
                "from",
                Verb(
                    "import Spine-Mets-CT-SEG, VerSe, nnU-Net, the authors' list or reviews",
                    "hideseek_lab.cli.manifest_from",
                    "hideseek manifest from spine-mets DIR --clinical table.csv --out manifest.csv",
                ),
            ),
            (
                "to-nnunet",
                Verb(
                    "write nnU-Net's folders and splits",
                    "hideseek_lab.cli.manifest_to_nnunet",
                    "hideseek manifest to-nnunet manifest.csv --out nnunet",
                ),
            ),
        ),
    ),
    "cohort": Verb(
        "segment many cases, on this machine or a cluster, resumable",
        "hideseek_lab.cli.cohort",
        "hideseek cohort cases.csv --run runs/cohort --workers 4 --slices all",
    ),
    "data": Verb(
        "data to train and to measure on",
        "",
        "hideseek data spine-mets --out data/spine-mets",
        (
            (
                "spine-mets",
                Verb(
                    "Spine-Mets-CT-SEG: 55 patients, CT and vertebrae, 20 GB, CC BY 4.0",
                    "hideseek_lab.cli.data_spine_mets",
                    "hideseek data spine-mets --out data/spine-mets --yes",
                ),
            ),
            (
                "insert",
                Verb(
                    "put metastases into a real CT without known disease, with their truth",
                    "hideseek_lab.cli.data_insert",
                    "hideseek data insert real/case.json --at L1=lytic --out made",
                ),
            ),
        ),
    ),
    "supervised": Verb(
        "train networks on lesion masks, predict, and compare them with labels only",
        "",
        "hideseek supervised compare --out runs/supervised --budget 60",
        (
            (
                "train",
                Verb(
                    "train a slice classifier or a lesion segmenter on a manifest's masks",
                    "hideseek_lab.cli.supervised_train",
                    "hideseek supervised train --manifest manifest.csv --network resunet "
                    "--init sap --run runs/resunet --out resunet",
                ),
            ),
            (
                "predict",
                Verb(
                    "run such a network on a manifest's cases",
                    "hideseek_lab.cli.supervised_predict",
                    "hideseek supervised predict --model resunet --manifest manifest.csv "
                    "--out predicted",
                ),
            ),
            (
                "compare",
                Verb(
                    "how many lesion masks are vertebra labels worth?",
                    "hideseek_lab.cli.supervised_compare",
                    "hideseek supervised compare --out runs/supervised --budget 60",
                ),
            ),
        ),
    ),
    "benchmark": Verb(
        "measure speed or accuracy",
        "",
        "hideseek benchmark speed --json speed.json",
        (
            (
                "speed",
                Verb(
                    "reference protocol against fast: seconds, memory and agreement",
                    "hideseek_lab.cli.benchmark_speed",
                    "hideseek benchmark speed --json speed.json",
                ),
            ),
            (
                "outside",
                Verb(
                    "does the model say of metal, cement and spoilt scans that it never saw them?",
                    "hideseek_lab.cli.benchmark_outside",
                    "hideseek benchmark outside --data spines",
                ),
            ),
            (
                "quality",
                Verb(
                    "our settings, the paper's and its baselines on fixed phantom splits",
                    "hideseek_lab.cli.benchmark_quality",
                    "hideseek benchmark quality --json quality.json",
                ),
            ),
            (
                "real",
                Verb(
                    "specificity on real vertebrae, sensitivity for lesions inserted into them",
                    "hideseek_lab.cli.benchmark_real",
                    "hideseek benchmark real --data spines",
                ),
            ),
            (
                "volumes",
                Verb(
                    "lesions and volumes of whole phantom spines in three dimensions",
                    "hideseek_lab.cli.benchmark_volumes",
                    "hideseek benchmark volumes --cases 8",
                ),
            ),
            (
                "follow-up",
                Verb(
                    "lesions of phantoms scanned twice, with known change",
                    "hideseek_lab.cli.benchmark_follow_up",
                    "hideseek benchmark follow-up --pairs 44",
                ),
            ),
            (
                "cohort",
                Verb(
                    "what a second worker brings, and what the cohort's engine costs",
                    "hideseek_lab.cli.benchmark_cohort",
                    "hideseek benchmark cohort --cases 12",
                ),
            ),
        ),
    ),
    "models": Verb(
        "list, install, import and verify models",
        "",
        "hideseek models list",
        (
            (
                "cover",
                Verb(
                    "measure anew what a model has seen in training, and store it with the model",
                    "hideseek_lab.cli.models_cover",
                    "hideseek models cover runs/bundled/model --run runs/bundled --out covered",
                ),
            ),
            (
                "check",
                Verb(
                    "rerun the authors' notebook case and compare with the figures it prints",
                    "hideseek_lab.cli.models_check",
                    "hideseek models check dae-verts",
                ),
            ),
        ),
    ),
}
