#!/bin/bash
# A trainer that knows SCALING_* alone: nothing of a study stands on its command line.
set -e
exec python examples/trainers/plain_gpt.py --text="$SCALING_RECIPE_TEXT" --width="$SCALING_WIDTH" --layers="$SCALING_LAYERS" \
  --steps="$SCALING_STEPS" --rows=$((SCALING_BATCH_TOKENS / 64)) --lr="$SCALING_PEAK_LR" --warmup="$SCALING_WARMUP_STEPS" \
  --seed="$SCALING_SEED" --out="$SCALING_OUT"
