"""The cockpit's controls and read-outs: buttons, switches and a status table in viser's side panel."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import Any, Literal

import viser

from mbmf_ros.nodes.readout import Level, Readout

_COLORS: dict[Level, str] = {"ok": "#2b8a3e", "warn": "#b36b00", "error": "#c92a2a"}
# viser has one size of button; the emergency stop is found by its icon and made bigger.
_STYLE = """<style>
button:has(.icon-tabler-hand-stop) { height: 3.6em !important; }
button:has(.icon-tabler-hand-stop) .mantine-Button-label { font-size: 1.3em; font-weight: 700 !important; }
.cockpit { font-size: 0.86em; padding: 0 0.6em; }
.cockpit table { width: 100%; border-collapse: collapse; }
.cockpit td { padding: 0.14em 0; }
.cockpit td:last-child { text-align: right; font-variant-numeric: tabular-nums; }
.cockpit .headline { border-radius: 4px; color: white; font-weight: 600; padding: 0.35em 0.6em; margin-bottom: 0.4em; }
</style>"""


class Panel:
    """Side panel of the page. ``command`` is called in viser's thread with the name of what the user asked for.

    Names: ``estop``, ``clear_estop``, ``clear_trip``, ``enable``, ``pause``, ``resume``, ``reset``, ``clear``,
    ``candidates``, ``no_candidates``.

    Args:
        server: of the page.
        command: takes the name.
        look: called with the browser that wants to see the robot.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        command: Callable[[str], None],
        look: Callable[[viser.ClientHandle], None],
    ):
        gui = server.gui
        self._server = server
        self.command = command
        self._shown = ""
        gui.main_panel.dock_right()
        gui.main_panel.set_width(290)
        gui.add_html(_STYLE)
        self._button("EMERGENCY STOP", "estop", viser.Icon.HAND_STOP, "Stop the robot and keep it stopped", "red")
        self._status = gui.add_html("")
        self._progress = gui.add_progress_bar(0.0, visible=False)
        self._ways_on = {
            "clear_estop": self._button(
                "Clear emergency stop", "clear_estop", viser.Icon.LOCK_OPEN, "Unlatch the emergency stop", "gray"
            ),
            "clear_trip": self._button(
                "Clear safety trip", "clear_trip", viser.Icon.LOCK_OPEN, "The robot is within its limits again", "gray"
            ),
            "enable": self._button("Enable robot", "enable", viser.Icon.POWER, "Let the robot move", "gray"),
        }
        for button in self._ways_on.values():
            button.visible = False
        self._pause = self._button("Pause", "pause", viser.Icon.PLAYER_PAUSE, "Let time stand still", None)
        self._resume = self._button("Resume", "resume", viser.Icon.PLAYER_PLAY, "Let time go on", None)
        self._resume.visible = False
        self._button("Clear waypoints", "clear", viser.Icon.TRASH, "Forget the path; the robot stands still", None)
        self._button("Reset robot", "reset", viser.Icon.REFRESH, "Put the simulated robot back to its start", None)
        see = gui.add_button("Look at robot", icon=viser.Icon.FOCUS_2, hint="Bring the camera to the robot")
        candidates = gui.add_checkbox("Show candidates", False, hint="Some of the plans that the controller weighed")
        gui.add_markdown("Click on the ground to add a waypoint. Drag to orbit, right-drag to move, scroll to zoom.")

        @see.on_click
        async def _(event: viser.GuiEvent) -> None:
            if event.client is not None:
                look(event.client)

        @candidates.on_update
        async def _(_: viser.GuiEvent) -> None:
            command("candidates" if candidates.value else "no_candidates")

    def _button(
        self, label: str, name: str, icon: viser.IconName, hint: str, color: Literal["red", "gray"] | None
    ) -> viser.GuiButtonHandle:
        button = self._server.gui.add_button(label, icon=icon, hint=hint, color=color)

        @button.on_click
        async def _(_: viser.GuiEvent) -> None:  # a coroutine, so that commands stay in their order
            self.command(name)

        return button

    def show(self, readout: Readout) -> None:
        """Show status and table; sends only what changed."""
        rows = readout.rows
        cells = "".join(f"<tr><td>{html.escape(name)}</td><td>{html.escape(value)}</td></tr>" for name, value in rows)
        text = (
            f'<div class="cockpit"><div class="headline" style="background: {_COLORS[readout.level]}">'
            f"{html.escape(readout.headline)}</div><table>{cells}</table></div>"
        )
        if text != self._shown:
            self._status.content = self._shown = text
        share = readout.training
        _show(self._pause, not readout.paused)
        _show(self._resume, readout.paused)
        for name, button in self._ways_on.items():
            _show(button, readout.way_on == name)
        _show(self._progress, share is not None)
        if share is not None and abs(self._progress.value - 100 * share) >= 1:
            self._progress.value = 100 * min(max(share, 0.0), 1.0)

    def tell(self, title: str, text: str) -> None:
        """Pop up an error in every browser."""
        for client in self._server.get_clients().values():
            client.add_notification(title, text, color="red", auto_close_seconds=8.0)


def _show(element: Any, visible: bool) -> None:
    if element.visible != visible:  # setting it anew would be sent to every browser
        element.visible = visible
