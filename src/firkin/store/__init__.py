"""What firkin keeps of images: blobs by digest, names by tag, and the sweeping of what nothing names.

store     Store: the one door                  ingest   a blob on its way in
refs      names, one small file each           sweep    mark and sweep
files     whole files or none; full disks      lock     flock
"""
