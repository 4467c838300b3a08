"""The live page of the real service on the real broker, through a restart."""

from playwright.sync_api import expect

from tests.support.cluster import Message
from tests.support.job import EPOCH_MS


def readings(first, count):
    return [
        Message(b"s-1", f"{20 + number % 5}".encode(), EPOCH_MS + number * 1_000)
        for number in range(first, first + count)
    ]


def test_the_page_of_a_service_shows_its_stream_through_a_restart(make_job, open_page):
    job = make_job(settings={"smoothing": {"half_life": "5s", "outputs": ["ewma", "std", "count"]}})
    service = job.start()
    page = open_page(service.address)
    expect(page.locator("#connection")).to_have_text("live", timeout=30_000)
    expect(page.locator("#partitions .badge")).to_have_text("running")

    job.produce([*readings(0, 200), Message(b"s-1", b"no number", EPOCH_MS)])

    readout = page.locator(".panel .readout")
    expect(page.locator(".panel h3")).to_have_text("s-1", timeout=30_000)
    job.produce(readings(200, 100))
    expect(readout).to_contain_text("count 300", timeout=30_000)
    expect(page.locator("#output")).to_have_text(job.output)
    expect(page.locator("#dead-letters tr")).to_contain_text("no number")

    port = int(service.address.rpartition(":")[2])
    service.stop()
    expect(page.locator("#connection")).to_have_text("reconnecting …", timeout=30_000)
    job.change("http", port=port)
    job.start()
    expect(page.locator("#connection")).to_have_text("live", timeout=60_000)
    expect(page.locator("#unready")).to_be_hidden(timeout=60_000)
    job.produce(readings(300, 50))
    expect(readout).to_contain_text("count 350", timeout=30_000)
