# Builds with the exact versions of constraints.txt; runs without root, without a compiler and without pip.
FROM python:3.12-slim AS build
WORKDIR /src
RUN python -m venv /opt/orchestrator
COPY constraints.txt pyproject.toml README.md LICENSE ./
COPY activities ./activities
COPY orchestrator ./orchestrator
COPY workflows ./workflows
RUN /opt/orchestrator/bin/pip install --no-cache-dir -c constraints.txt '.[postgres]' \
    && rm -rf /opt/orchestrator/bin/pip* /opt/orchestrator/lib/python3.12/site-packages/pip*

FROM python:3.12-slim
RUN useradd --uid 10001 --create-home orchestrator \
    && install -d -o orchestrator -g orchestrator -m 0700 /var/lib/orchestrator \
    && install -d -o orchestrator -g orchestrator /policies
COPY --from=build /opt/orchestrator /opt/orchestrator
ENV PATH=/opt/orchestrator/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ORCHESTRATOR_STATE_DIR=/var/lib/orchestrator \
    ORCHESTRATOR_POLICIES_DIR=/policies \
    ORCHESTRATOR_LOG_FORMAT=json
USER orchestrator
WORKDIR /home/orchestrator
VOLUME /var/lib/orchestrator
ENTRYPOINT ["orchestrator"]
CMD ["worker"]
