#!/bin/sh
# A database and an account for each that keeps something here; none may open another's.
set -eu
psql -v ON_ERROR_STOP=1 -U postgres -d postgres <<'SQL'
\set dagster `cat /run/secrets/DAGSTER_PASSWORD`
\set mlflow `cat /run/secrets/MLFLOW_PASSWORD`
\set feast `cat /run/secrets/FEAST_PASSWORD`
\set serving `cat /run/secrets/SERVING_PASSWORD`
CREATE ROLE dagster LOGIN PASSWORD :'dagster';
CREATE ROLE mlflow LOGIN PASSWORD :'mlflow';
CREATE ROLE feast LOGIN PASSWORD :'feast';
CREATE ROLE serving LOGIN PASSWORD :'serving';
CREATE DATABASE dagster OWNER dagster;
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE feast OWNER feast;
CREATE DATABASE serving OWNER serving;
REVOKE CONNECT, TEMPORARY ON DATABASE postgres, dagster, mlflow, feast, serving FROM PUBLIC;
SQL
