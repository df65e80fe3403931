#!/bin/sh
# Makes the namespace of the runs unless it is there; TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE say where and which.
set -eu

temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" ||
  temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 30d
