"""What a user sees in a browser: Prefect's page of a run, MLflow's pages of runs and models.

Needs chromium and its driver (Debian: chromium, chromium-driver); `.ci/run` brings them. With
SCREENSHOTS=FOLDER the pages are kept as pictures.
"""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait
from service_harness import Services

PATIENCE_S = 90.0
PROGRAMS = ("chromium", "chromedriver")

if os.environ.get("NEEDS_BROWSER") != "1" and not all(map(shutil.which, PROGRAMS)):
    pytest.skip("no chromium with its driver here", allow_module_level=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    for option in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage"):
        options.add_argument(f"--{option}")
    options.add_argument("--window-size=1500,1600")
    driver, program = (shutil.which(name) for name in ("chromedriver", "chromium"))
    options.binary_location = str(program)
    opened = webdriver.Chrome(options, webdriver.ChromeService(driver))
    yield opened
    opened.quit()


def shown(browser: webdriver.Chrome, url: str, *texts: str) -> str:
    """Open a page, wait until it shows all the texts, and return all that it shows."""
    browser.get(url)

    def text() -> str:
        return str(browser.execute_script("return document.body.innerText"))

    try:
        WebDriverWait(browser, PATIENCE_S).until(lambda _: all(each in text() for each in texts))
    except Exception as error:
        lacking = [each for each in texts if each not in text()]
        raise AssertionError(f"{url}: does not show {lacking}, but: {text()}") from error
    finally:
        if folder := os.environ.get("SCREENSHOTS"):
            name = "".join(letter if letter.isalnum() else "-" for letter in url)[-80:]
            browser.save_screenshot(str(Path(folder) / f"{name}.png"))
    return text()


def test_prefect_shows_the_run_with_its_steps(
    services: Services, deployed_run: str, browser: webdriver.Chrome
) -> None:
    flow_run = services.mlflow.get_run(deployed_run).data.tags["prefect.flow_run_id"]
    url = f"{services.prefect_url.removesuffix('/api')}/runs/flow-run/{flow_run}"
    steps = ("build data set", "train", "evaluate", "register")
    shown(browser, url, "build-and-train", "Completed", *steps)


def test_mlflow_shows_the_run_with_its_data_set_and_model(
    services: Services, deployed_run: str, browser: webdriver.Chrome
) -> None:
    run = services.mlflow.get_run(deployed_run)
    page = f"{services.mlflow_url}/#/experiments/{run.info.experiment_id}/runs/{deployed_run}"
    shown(
        browser,
        page,
        str(run.info.run_name),
        "evaluation/bits_per_byte",
        "graphmert-chain-graphs",
        "lambda_mlm",
    )
    shown(browser, f"{page}/artifacts/evaluation/chain_graph.png", "chain_graph.png")
    WebDriverWait(browser, PATIENCE_S).until(has_picture)


def has_picture(browser: webdriver.Chrome) -> bool:
    """Return whether a large picture is loaded."""
    widths = "return [...document.images].map(picture => picture.naturalWidth)"
    return any(width > 500 for width in browser.execute_script(widths))


def test_mlflow_compares_runs_and_shows_versions(
    services: Services, deployed_run: str, browser: webdriver.Chrome
) -> None:
    run = services.mlflow.get_run(deployed_run)
    experiment = run.info.experiment_id
    pair = [deployed_run, services.mlflow.get_model_version("graphmert", "1").run_id]
    query = f"runs={json.dumps(pair)}&experiments={json.dumps([experiment])}"
    shown(browser, f"{services.mlflow_url}/#/compare-runs?{query}", "Comparing", "bits_per_byte")
    shown(browser, f"{services.mlflow_url}/#/models/graphmert", "graphmert", "champion")
    shown(browser, f"{services.mlflow_url}/#/models/graphmert/versions/1", "gate_reason")
