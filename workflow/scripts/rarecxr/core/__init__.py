"""What every stage uses: files, provenance, logs, resume files, devices."""
