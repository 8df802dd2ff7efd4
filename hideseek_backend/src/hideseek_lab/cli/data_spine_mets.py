"""`hideseek data spine-mets`: download the public set, with its size and licence said first."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

CITATION = "Spine-Mets-CT-SEG, The Cancer Imaging Archive, https://doi.org/10.7937/kh36-ds04"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    add = parser.add_argument
    add("--out", type=Path, required=True, metavar="DIR", help="folder of the patients")
    add("--patient", action="append", default=[], help="only this one (may be repeated)")
    add("--yes", action="store_true", help="do not ask before the download")
    add("--endpoint", default="", metavar="URL", help="mirror of the public bucket")


def main(args: argparse.Namespace) -> int:
    """Say what comes, ask, and fetch what is not there."""
    from hideseek_lab.manifest.download import SPINE_METS, download, list_series, open_client

    client = open_client(args.endpoint)
    series = list_series(client, SPINE_METS, args.patient)
    missing = [one for one in series if not one.complete(args.out)]
    patients = len({one.patient for one in series})
    print(f"{CITATION}\nLicence: {', '.join(sorted({one.licence for one in series}))}")
    print(f"{len(series)} series of {patients} patients; {len(series) - len(missing)} are there.")
    gigabytes = sum(one.megabytes for one in missing) / 1000
    print(f"To download: {gigabytes:.2f} GB from the Imaging Data Commons to {args.out}.")
    if missing and not args.yes:
        if not sys.stdin.isatty():
            print("Nothing was downloaded: add --yes to agree.")
            return 2
        if input("Download? [y/N] ").strip().lower() not in ("y", "yes"):
            return 130
    download(client, missing, args.out, lambda line: print(line, flush=True))
    print("Fetch the table of diseased levels from the address above, then:")
    print(f"  hideseek manifest from spine-mets {args.out} --clinical TABLE --out manifest.csv")
    return 0
