-- A person's word about a sheet (`resume --accept`, `--skip`): who gave it, and why; JSON.
ALTER TABLE sheets ADD COLUMN word TEXT;
