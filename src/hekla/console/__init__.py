"""The web console: one page and its files, without a build step and without anything fetched from elsewhere."""

from hekla.console.assets import Asset, assets, page

__all__ = ["Asset", "assets", "page"]
