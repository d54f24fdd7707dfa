"""Plotwright's pages. Start with `make app`, or `streamlit run app` in the repository's folder."""

from pathlib import Path

import streamlit as st
from look import dress, guarded
from views import data_and_model, experiments, write

st.set_page_config(page_title="Plotwright", page_icon=str(Path(__file__).with_name("icon.svg")), layout="wide")
dress()


def write_page() -> None:
    guarded(write.show)


def experiments_page() -> None:
    guarded(experiments.show)


def data_and_model_page() -> None:
    guarded(data_and_model.show)


pages = [
    st.Page(write_page, title="Write", url_path="write", default=True),
    st.Page(experiments_page, title="Experiments", url_path="experiments"),
    st.Page(data_and_model_page, title="Data and model", url_path="data"),
]
page = st.navigation(pages, position="hidden")
# Streamlit's own menu hides behind an arrow on a phone; three words fit everywhere.
with st.container(horizontal=True, gap="small", key="nav"):
    for link in pages:
        st.page_link(link)
page.run()
