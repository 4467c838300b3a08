"""The live page in a real browser, before a made-up member behind the real server."""

import re

import pytest
from playwright.sync_api import expect

from stream_ewma.kafka.partition import Partition
from stream_ewma.service.opening import RestoreProgress
from stream_ewma.service.overview import PartitionStatus, Phase
from tests.browser.member import PARTITION
from tests.support.waiting import wait_until

LIMITS = {"ewma": 20.0, "std": 0.5, "centre": 20.0, "ucl": 24.0, "lcl": 16.0, "count": 9}
PUMPS = [f"pump-{number}".encode() for number in range(3)]
# The height of each pixel of a plot in the colour of the smoothed line, as a share of the plot's.
COLOURED = """(canvas) => {
  const {width, height} = canvas;
  const copy = new OffscreenCanvas(width, height).getContext("2d", {willReadFrequently: true});
  copy.drawImage(canvas, 0, 0);
  const {data} = copy.getImageData(0, 0, width, height);
  const blue = [21, 96, 212];
  const found = [];
  for (let at = 0; at < data.length; at += 4)
    if (blue.every((part, i) => Math.abs(data[at + i] - part) < 12) && data[at + 3] > 200)
      found.push(Math.floor(at / 4 / width) / height);
  return found;
}"""
PICTURE = "(canvas) => canvas.toDataURL()"


def canvas(page, number=0):
    return page.locator(".panel canvas").nth(number)


def await_line(page):
    page.locator(".panel canvas").first.wait_for()
    wait_until(lambda: len(canvas(page).evaluate(COLOURED)) > 100)


def span(page):
    """How much of a plot's height the smoothed line takes."""
    found = canvas(page).evaluate(COLOURED)
    return max(found) - min(found) if found else 0.0


def readout(page, number=0):
    return page.locator(".panel .readout").nth(number).inner_text()


def test_what_moves_is_drawn_at_once_and_goes_on(serve, open_page):
    page = open_page(serve(PUMPS, PUMPS).address)

    await_line(page)

    assert page.locator(".panel h3").all_inner_texts() == [key.decode() for key in PUMPS]
    before, text = canvas(page).evaluate(PICTURE), readout(page)
    page.wait_for_timeout(1_500)
    assert canvas(page).evaluate(PICTURE) != before
    assert readout(page) != text
    expect(page.locator("#connection")).to_have_text("live")
    expect(page.locator("#smoothing")).to_have_text("half-life 30 s")


def test_nothing_of_the_page_comes_from_elsewhere_or_stands_inline(serve, open_page):
    server = serve(PUMPS, PUMPS)
    page = open_page("about:blank")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(server.address)
    await_line(page)

    assert asked
    assert all(url.startswith(server.address) for url in asked)


def test_a_key_among_a_hundred_thousand_is_found_and_shown(serve, open_page):
    keys = [f"sensor-{number:06}".encode() for number in range(100_000)]
    page = open_page(serve(keys, [keys[-7]]).address)
    await_line(page)

    page.keyboard.press("/")
    page.keyboard.type("sensor-09999")
    expect(page.locator("#found li")).to_have_count(10)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")

    expect(page.locator(".panel h3").last).to_have_text("sensor-099990")
    assert "key=sensor-099990" in page.url
    page.reload()
    expect(page.locator(".panel h3").last).to_have_text("sensor-099990")
    expect(page.locator(".panel .readout").last).to_contain_text("so far: ewma 21.5 · count 7")


def test_where_little_is_found_the_search_stops_and_can_be_led_on(serve, open_page):
    keys = [b"x%d" % number for number in range(1 << 20)] + [b"needle"]
    page = open_page(serve(keys).address)

    page.locator("#search").fill("need")
    expect(page.locator("#found-note")).to_have_text("none so far")
    expect(page.locator("#found li")).to_have_count(0)
    page.locator("#search-on").click()
    page.locator("#search-on").click()

    expect(page.locator("#found li")).to_have_text(re.compile("needle"))


def test_a_key_that_is_typed_to_its_end_is_found_at_once_among_however_many(serve, open_page):
    keys = [b"x%d" % number for number in range(1 << 20)] + [b"needle", b"needle/2 %"]
    page = open_page(serve(keys).address)

    for key in ("needle", "needle/2 %"):
        page.locator("#search").fill(key)
        expect(page.locator("#found li .key").first).to_have_text(key)


def test_a_key_of_another_member_is_not_said_to_be_nowhere(serve, open_page):
    server = serve([b"pump-1"])
    page = open_page(server.address)
    page.locator("#search").fill("pump-2")
    expect(page.locator("#found-note")).to_have_text("no such key")

    server.member.elsewhere = "10.0.0.7:9464"
    page.locator("#search").fill("pump-3")
    expect(page.locator("#found-note")).to_have_text("not on this member: ask 10.0.0.7:9464")


def test_a_link_to_a_key_of_another_member_says_where_to_ask(serve, open_page):
    server = serve([b"pump-1"])
    server.member.elsewhere = "10.0.0.7:9464"
    page = open_page(f"{server.address}#key=pump-1&key=pump-2")

    expect(page.locator(".panel .readout")).to_have_text(
        [
            "waiting for a record; so far: ewma 21.5 · count 7",
            "not on this member: ask 10.0.0.7:9464",
        ]
    )


def test_text_of_a_stream_is_never_markup(serve, open_page):
    evil = b"<img src=x onerror=alert(1)><script>alert(2)</script>"
    server = serve([evil], [evil])
    page = open_page(server.address)
    await_line(page)
    server.call(server.member.reject, evil, evil)

    expect(page.locator("#dead-letters code")).to_have_text(evil.decode())
    assert page.locator(".panel h3").inner_text() == evil.decode()
    page.locator("#search").fill("<img")
    expect(page.locator("#found li .key")).to_have_text(evil.decode())
    assert page.locator("main img, main script").count() == 0


def test_it_survives_a_restart_of_the_service(serve, open_page):
    server = serve(PUMPS, PUMPS)
    page = open_page(server.address)
    await_line(page)

    server.stop()
    expect(page.locator("#connection")).to_have_text("reconnecting …")
    server.start()
    expect(page.locator("#connection")).to_have_text("live", timeout=30_000)

    text = readout(page)
    page.wait_for_timeout(1_000)
    assert readout(page) != text
    assert page.locator(".panel").count() == len(PUMPS)


def test_the_keyboard_does_everything(serve, open_page):
    page = open_page(serve(PUMPS, PUMPS).address)
    await_line(page)

    page.keyboard.press("Space")
    expect(page.locator("#pause-text")).to_have_text("Resume")
    page.wait_for_timeout(300)
    before = canvas(page).evaluate(PICTURE)
    page.wait_for_timeout(700)
    assert canvas(page).evaluate(PICTURE) == before

    page.keyboard.press("ArrowRight")
    first = readout(page)
    page.keyboard.press("ArrowRight")
    assert readout(page) != first
    assert page.locator(".panel.pointed").count() == len(PUMPS)

    page.keyboard.press("+")
    expect(page.locator("#reset")).to_be_visible()
    page.keyboard.press("r")
    expect(page.locator("#reset")).to_be_hidden()
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    page.keyboard.press("/")
    expect(page.locator("#search")).to_be_focused()
    page.keyboard.press("Escape")
    page.locator(".plot").first.focus()
    page.keyboard.press("Space")
    expect(page.locator("#pause-text")).to_have_text("Pause")


def test_a_reading_far_from_all_others_does_not_flatten_the_plot(serve, open_page):
    server = serve(PUMPS, PUMPS)
    page = open_page(server.address)
    await_line(page)
    # Of few readings none is far from the others.
    wait_until(lambda: int(readout(page).rpartition("count ")[2]) > 40)
    wait_until(lambda: span(page) > 0.4, what=lambda: f"the line takes {span(page)} of the height")

    server.call(server.member.step, 1e6)
    page.wait_for_timeout(1_500)

    assert span(page) > 0.3


def test_dragging_and_the_wheel_zoom_and_a_double_click_resets(serve, open_page):
    page = open_page(serve(PUMPS, PUMPS).address)
    await_line(page)
    area = page.locator(".plot .u-over").first
    box = area.bounding_box()
    middle = box["y"] + box["height"] / 2

    page.mouse.move(box["x"] + 100, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + 220, middle, steps=5)
    page.mouse.up()
    expect(page.locator("#reset")).to_be_visible()
    area.dblclick()
    expect(page.locator("#reset")).to_be_hidden()
    page.locator(".plot").first.focus()
    page.mouse.wheel(0, -100)
    expect(page.locator("#reset")).to_be_visible()


def test_hovering_shows_exact_numbers_in_all_plots(serve, open_page):
    page = open_page(serve(PUMPS, PUMPS).address)
    await_line(page)
    page.keyboard.press("Space")
    page.locator(".plot .u-over").first.hover()

    texts = page.locator(".pointed .readout").all_inner_texts()
    assert len(texts) == len(PUMPS)
    numbers = re.compile(r"raw \d+\.\d{6,} .*ewma \d+\.\d{6,} .*count \d+$")
    assert all(numbers.search(text) for text in texts)
    assert len(set(texts)) == 1  # the same moment, and these series are alike


def test_bands_limits_and_factors_can_be_switched_and_stay_so(serve, open_page):
    server = serve(PUMPS, PUMPS)
    server.member.outputs = lambda number: {
        **LIMITS,
        "out_of_control": number % 20 == 0,
    }
    page = open_page(server.address)
    await_line(page)
    names = ["Raw", "Band ±2\u03c3", "Control limits", "Smoothed", "Out of control"]
    assert page.locator("#legend button").all_inner_texts() == names

    page.locator("#legend button", has_text="Smoothed").click()
    wait_until(lambda: len(canvas(page).evaluate(COLOURED)) < 100)
    page.reload()
    button = page.locator("#legend button", has_text="Smoothed")
    expect(button).to_have_attribute("aria-pressed", "false")


def test_several_values_and_factors_have_plots_and_lines_of_their_own(serve, open_page):
    server = serve(PUMPS[:1], PUMPS[:1])
    page = open_page("about:blank")
    # A record of two values, each smoothed twice.
    answer = {"body": TWO, "content_type": "text/event-stream"}
    page.route("**/v1/events*", lambda route: route.fulfill(**answer))
    page.goto(server.address)

    expect(page.locator(".panel h3")).to_have_text(["a · temp", "a · hum"])
    assert page.locator("#legend button").all_inner_texts() == [
        *("Raw", "Smoothed: fast", "Smoothed: slow")
    ]


TWO = """event: sample
data: {"key":"a","topic":"t","partition":0,"offset":1,"timestamp":1767225600000,"kind":"smoothed",\
"values":{"temp":1.5,"hum":50},"outputs":{"temp_ewma_fast":1.4,"temp_ewma_slow":1.2,\
"hum_ewma_fast":49,"hum_ewma_slow":48,"temp_count":3,"hum_count":3},"raw":null}

"""


def test_the_state_of_the_service_is_told(serve, open_page):
    server = serve(PUMPS, PUMPS)
    member = server.member
    other = Partition(PARTITION.topic, 1)
    member.statuses = [
        PartitionStatus(PARTITION, Phase.RUNNING, 900, 850, 1_900, 3, 4096, 1_767_225_600_000),
        PartitionStatus(other, Phase.OPENING, restore=RestoreProgress(1_500, 0.4)),
    ]
    member.reasons = {str(other): "restoring: 1500 rows read, 40%"}
    member.counters.recoveries = 2
    page = open_page(server.address)
    server.call(member.reject, b"k", b"no number")

    expect(page.locator("#unready")).to_contain_text("restoring: 1500 rows read")
    expect(page.locator("#lag-value")).to_have_text("1,000")
    expect(page.locator("#commits-note")).to_have_text("2 recoveries")
    rows = page.locator("#partitions tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("running")
    expect(rows.nth(1)).to_contain_text("40 %, 1,500 rows")
    assert rows.nth(1).locator("progress").evaluate("(bar) => bar.value") == pytest.approx(0.4)
    dead = page.locator("#dead-letters tr")
    expect(dead).to_contain_text("sensor-readings-0@")
    expect(dead).to_contain_text("unreadable")
    expect(dead).to_contain_text("no number")
    wait_until(lambda: int(page.locator("#rate-value").inner_text()) >= 10)


def test_on_a_phone_nothing_sticks_out(serve, open_page):
    long = b"a-very-long-key." * 12
    server = serve([long, *PUMPS], [long, *PUMPS])
    size = {"width": 360, "height": 740}
    page = open_page(server.address, viewport=size, is_mobile=True, has_touch=True)
    await_line(page)
    server.call(server.member.reject, long, b"x" * 250)
    expect(page.locator("#dead-letters tr")).to_have_count(1)

    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.locator(".plot .u-over").first.tap()
    expect(page.locator(".panel.pointed")).not_to_have_count(0)


def test_the_theme_follows_the_system_until_it_is_switched(serve, open_page):
    page = open_page(serve(PUMPS, PUMPS).address, color_scheme="dark")
    root = page.locator("html")
    expect(root).to_have_attribute("data-theme", "dark")

    page.keyboard.press("t")
    expect(root).to_have_attribute("data-theme", "light")
    page.reload()
    expect(root).to_have_attribute("data-theme", "light")


def test_memory_is_bounded_and_late_and_repeated_samples_find_their_place(serve, open_page):
    page = open_page(serve(PUMPS).address)
    found = page.evaluate(
        """async () => {
          const {Series, MOST_POINTS} = await import("/store.js");
          const series = new Series();
          const add = (timestamp, offset, value) =>
            series.add({timestamp, offset, values: {value}, outputs: {ewma: value}});
          for (let at = 0; at < 3 * MOST_POINTS; at += 1) add(at * 10, at, at);
          const most = series.length;
          const last = series.last;
          add(last - 15, 900001, -1);
          add(last, 3 * MOST_POINTS - 1, 7);
          return [most <= 2 * MOST_POINTS, series.times.slice(-4).map((time) => time - last),
                  series.column("in:value").slice(-4), series.length - most];
        }"""
    )
    assert found == [True, [-20, -15, -10, 0], [14_997, -1, 14_998, 7], 1]


def test_a_browser_that_is_too_slow_is_told(serve, open_page):
    server = serve(PUMPS, PUMPS)
    page = open_page(server.address)
    await_line(page)
    expect(page.locator("#missed")).to_be_hidden()

    def miss():
        for watcher in server.member.watchers._watchers:
            watcher.missed = 1_234

    def is_told():
        server.call(miss)  # the page may just have taken another connection
        return page.locator("#missed").is_visible()

    wait_until(is_told)
    expect(page.locator("#missed")).to_contain_text("1,234 samples")


def test_two_fingers_zoom(serve, open_page):
    size = {"width": 360, "height": 740}
    page = open_page(serve(PUMPS, PUMPS).address, viewport=size, is_mobile=True, has_touch=True)
    await_line(page)
    area = page.locator(".plot .u-over").first
    area.scroll_into_view_if_needed()
    box = area.bounding_box()
    session = page.context.new_cdp_session(page)

    def touch(kind, *places):
        points = [
            {"x": box["x"] + place, "y": box["y"] + 60, "id": number}
            for number, place in enumerate(places)
        ]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    touch("touchStart", 120, 140)
    for spread in range(10, 80, 10):
        touch("touchMove", 120 - spread, 140 + spread)
    touch("touchEnd")
    expect(page.locator("#reset")).to_be_visible()


def test_a_page_that_nobody_looks_at_falls_asleep_and_wakes_up(serve, open_page):
    server = serve(PUMPS, PUMPS)
    page = open_page("about:blank")
    page.clock.install()
    page.goto(server.address)
    expect(page.locator("#connection")).to_have_text("live")
    see = """(hidden) => {
      Object.defineProperty(document, "hidden", {value: hidden, configurable: true});
      document.dispatchEvent(new Event("visibilitychange"));
    }"""

    page.evaluate(see, True)
    page.clock.fast_forward(31_000)
    expect(page.locator("#connection")).to_have_text("asleep")
    wait_until(lambda: not server.member.watchers._watchers)
    page.evaluate(see, False)
    expect(page.locator("#connection")).to_have_text("live")
