# Runs at each fire, in this folder. The event is on standard input, and in variables.
set -eu

echo "$GULOU_FUNCTION/$GULOU_TRIGGER was due at $GULOU_FIRE_TIME"
