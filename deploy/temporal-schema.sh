#!/bin/sh
# Makes Temporal's two databases and brings their schemas up to date; safe to run again.
set -eu

for pair in temporal:temporal temporal_visibility:visibility; do
  database=${pair%%:*}
  tool="temporal-sql-tool --plugin $DB --ep $POSTGRES_SEEDS --port $DB_PORT --user $POSTGRES_USER --db $database"
  $tool create || echo "$database is there already"
  $tool setup-schema -v 0.0 || echo "$database has a schema already"
  $tool update-schema -d "/etc/temporal/schema/postgresql/v12/${pair##*:}/versioned"
done
