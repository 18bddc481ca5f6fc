"""A figure as the bytes of a picture file, and as what the clipboard holds. Needs Qt, and no screen."""

import os
import re
from functools import cache

from msgspec import Struct
from PySide6.QtCore import QBuffer, QByteArray, QIODevice, QMarginsF, QMimeData, QRectF, QSize, QSizeF
from PySide6.QtGui import QColor, QGuiApplication, QImage, QPageSize, QPainter, QPdfWriter
from PySide6.QtSvg import QSvgGenerator

from llmplanner.charts.draw import FILE, Options, draw
from llmplanner.charts.figure import Figure
from llmplanner.charts.palette import LIGHT, Theme
from llmplanner.charts.table import to_csv

BASE_DPI = 96  # a pixel of a figure
PDF_DPI = 1200
POINTS = 72 / BASE_DPI  # of print in a pixel
INCH = 0.0254  # metres
SIZE_IN_MM = re.compile(rb'<svg width="[\d.]+mm" height="[\d.]+mm"')  # rounded: one pixel too large


class Look(Struct, frozen=True):
    """How large and in which colours a file is made."""

    width: int = 800  # pixels at 96 per inch
    height: int = 450
    dpi: int = 192  # of a PNG: more dots for the same picture
    theme: Theme = LIGHT
    outlines: bool = True  # the text of an SVG as shapes: the same letters everywhere


@cache
def ensure_application() -> QGuiApplication:
    """The application that fonts need: the one that runs, else one that shows nothing."""
    running = QGuiApplication.instance()
    if isinstance(running, QGuiApplication):
        return running
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    return QGuiApplication([])


def image(figure: Figure, look: Look) -> QImage:
    """The figure in dots."""
    ensure_application()
    scale = look.dpi / BASE_DPI
    size = QSize(round(look.width * scale), round(look.height * scale))
    picture = QImage(size, QImage.Format.Format_ARGB32_Premultiplied)
    picture.setDevicePixelRatio(scale)
    picture.setDotsPerMeterX(round(look.dpi / INCH))
    picture.setDotsPerMeterY(round(look.dpi / INCH))
    picture.fill(QColor(look.theme.panel))
    picture.setText("Title", figure.title)
    picture.setText("Source", figure.source)
    with QPainter(picture) as painter:
        draw(painter, look.width, look.height, figure, look.theme)
    return picture


def png(figure: Figure, look: Look) -> bytes:
    """A PNG file."""
    buffer = _buffer()
    image(figure, look).save(buffer, "PNG")  # type: ignore[call-overload]  # the stubs say bytes, Qt takes str
    return _content(buffer)


def svg(figure: Figure, look: Look) -> bytes:
    """An SVG 1.1 file (the default version of Qt loses clipping)."""
    ensure_application()
    buffer = _buffer()
    generator = QSvgGenerator(QSvgGenerator.SvgVersion.Svg11)
    generator.setOutputDevice(buffer)
    generator.setSize(QSize(look.width, look.height))
    generator.setViewBox(QRectF(0, 0, look.width, look.height))
    generator.setResolution(BASE_DPI)
    generator.setTitle(figure.title)
    generator.setDescription(figure.description or figure.source)
    with QPainter(generator) as painter:
        draw(painter, look.width, look.height, figure, look.theme, Options(outlines=look.outlines))
    return SIZE_IN_MM.sub(f'<svg width="{look.width}" height="{look.height}"'.encode(), _content(buffer), 1)


def pdf(figure: Figure, look: Look) -> bytes:
    """A PDF page of the figure's size, with the fonts in it."""
    ensure_application()
    buffer = _buffer()
    writer = QPdfWriter(buffer)
    writer.setResolution(PDF_DPI)
    writer.setTitle(figure.title)
    writer.setCreator("LLM Planner")
    size = QSizeF(look.width * POINTS, look.height * POINTS)
    writer.setPageSize(
        QPageSize(size, QPageSize.Unit.Point, figure.name, QPageSize.SizeMatchPolicy.ExactMatch)
    )
    writer.setPageMargins(QMarginsF())
    with QPainter(writer) as painter:
        painter.fillRect(QRectF(0, 0, writer.width(), writer.height()), QColor(look.theme.panel))
        painter.scale(PDF_DPI / BASE_DPI, PDF_DPI / BASE_DPI)
        draw(painter, look.width, look.height, figure, look.theme, FILE)
    return _content(buffer)


def clipboard(figure: Figure, look: Look) -> QMimeData:
    """The figure as image, SVG and table at once: each program pastes what it knows."""
    data = QMimeData()
    data.setImageData(image(figure, look))
    data.setData("image/svg+xml", QByteArray(svg(figure, look)))
    data.setText(to_csv(figure))
    return data


def _buffer() -> QBuffer:
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    return buffer


def _content(buffer: QBuffer) -> bytes:
    return bytes(buffer.data().data())


RENDERERS = {".png": png, ".svg": svg, ".pdf": pdf}
