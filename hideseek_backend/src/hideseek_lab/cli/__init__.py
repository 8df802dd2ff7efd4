"""The verbs of the lab, a file each; `hideseek_backend.cli.verbs` lists them."""
