"""The picture of the live page in the README: `python -m tests.browser.picture docs`.

A real service on the demo's broker smooths sensors that drift, jump, and now and then are wrong.
"""

import json
import math
import random
import shutil
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from stream_ewma.demo.broker import MockBroker, connect_producer
from stream_ewma.demo.service import ServiceThread
from stream_ewma.settings import Settings

TOPIC = "sensor-readings"
STEP_MS = 250  # of event time
STEPS = 520
SHOWN_STEPS = 320
WALL_S = 0.06
WAIT_S = 300
# Name, level, swing, its period in steps, noise, a jump and where it comes.
SENSORS = (
    ("boiler-1.temperature", 84.0, 3.0, 260, 1.1, 0.0, 0),
    ("line-2.pressure", 4.2, 0.12, 300, 0.09, -0.62, 190),
    ("turbine-3.vibration", 2.1, 0.25, 170, 0.3, 1.5, 225),
    ("pump-7.flow", 118.0, 9.0, 210, 4.2, 0.0, 0),
    ("rack-4.power", 1450.0, 60.0, 400, 45.0, 380.0, 150),
    ("tank-5.level", 62.0, 7.0, 640, 0.8, 0.0, 0),
)
SPIKE = 0.008
LIGHT, DARK = "live-page.png", "live-page-dark.png"


def settings(bootstrap):
    return Settings.model_validate(
        {
            "application_id": "stream-ewma",
            "kafka": {"bootstrap_servers": bootstrap, "fetch_max_wait_ms": 50},
            "input": {"topics": TOPIC},
            "smoothing": {"half_life": "3s", "outputs": ["ewma", "std", "count"]},
            "state": {"durable": False},
            "http": {"port": 0},
        }
    )


@contextmanager
def service():
    """A service that runs; the address of its page, and a producer for its input."""
    with MockBroker() as broker:
        chosen = settings(broker.bootstrap)
        for topic in (TOPIC, chosen.output_topic(TOPIC), chosen.dead_letter_topic):
            broker.create_topic(topic)
        addresses, answering = [], threading.Event()

        def note(address):
            addresses.append(address)
            answering.set()

        thread = ServiceThread(chosen, note)
        thread.start()
        try:
            assert answering.wait(WAIT_S)
            assert thread.ready.wait(WAIT_S)
            yield addresses[0], connect_producer(broker.bootstrap)
        finally:
            thread.end()


def feed(producer, enough):
    """Some minutes of readings, faster than they would come; `enough` is set at the best moment."""
    rng = random.Random(11)
    start_ms = int(time.time() * 1000) - SHOWN_STEPS * STEP_MS
    for step in range(STEPS):
        at_ms = start_ms + step * STEP_MS
        for number, (name, level, swing, period, noise, jump, when) in enumerate(SENSORS):
            value = level + swing * math.sin(2 * math.pi * step / period + number)
            value += rng.gauss(0, noise) + (jump if when and step >= when else 0)
            if rng.random() < SPIKE:
                value += rng.choice((-1, 1)) * 6 * noise
            record = {"timestamp": at_ms, "value": round(value, 4)}
            producer.produce(TOPIC, json.dumps(record).encode(), name, timestamp=at_ms)
        if step in (140, 260):
            bad = b'{"timestamp": %d, "value": "sensor fault"}' % at_ms
            producer.produce(TOPIC, bad, "pump-7.flow", timestamp=at_ms)
        producer.poll(0)
        time.sleep(WALL_S)
        if step == SHOWN_STEPS:
            enough.set()
    producer.flush(10)


def take(folder):
    """Both pictures, of the same moment."""
    program = shutil.which("chromium")
    with service() as (address, producer), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        pages: dict[str, Page] = {}
        for name, theme in ((LIGHT, "light"), (DARK, "dark")):
            pages[name] = browser.new_page(
                viewport={"width": 1280, "height": 900},
                device_scale_factor=1.5,
                color_scheme=theme,
            )
            pages[name].goto(address)
            pages[name].locator("#connection[data-state=open]").wait_for()
        enough = threading.Event()
        feeder = threading.Thread(target=feed, args=(producer, enough))
        feeder.start()
        assert enough.wait(WAIT_S)
        for name, page in pages.items():
            bottom = page.evaluate("document.querySelector('.history').getBoundingClientRect().top")
            clip = {"x": 0, "y": 0, "width": 1280, "height": math.floor(bottom)}
            page.screenshot(path=folder / name, clip=clip)
        feeder.join()
        browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]))
