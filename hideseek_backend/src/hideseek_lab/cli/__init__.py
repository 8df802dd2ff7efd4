"""The verbs of the lab, a file each; `verbs` lists them."""
