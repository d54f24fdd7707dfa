# The app with its model. Built where models/plot-generator and data/splits are, it holds them; else mount the folders.
# docs/DEPLOY.md says how, and what of this could not be tried.
FROM python:3.11-slim

# The Experiments page calls git even where, as here, there is no history. The app itself never runs as root.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends git \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --uid 1000 reader \
    && install --directory --owner reader /home/reader/app
USER reader
WORKDIR /home/reader/app
ENV PATH=/home/reader/venv/bin:$PATH PYTHONUNBUFFERED=1

# Where pip finds PyTorch's wheels for the CPU; without it come those with CUDA, which work too and are gigabytes larger.
ARG PIP_EXTRA_INDEX_URL

COPY --chown=reader pyproject.toml requirements.txt README.md ./
COPY --chown=reader plotwright plotwright
RUN python -m venv /home/reader/venv \
    && pip install --no-cache-dir --constraint requirements.txt .

COPY --chown=reader . .
RUN mkdir -p data/feedback
VOLUME /home/reader/app/data/feedback

EXPOSE 8501
HEALTHCHECK --start-period=60s CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8501/_stcore/health')"]
CMD ["streamlit", "run", "app", "--server.address", "0.0.0.0", "--server.port", "8501"]
