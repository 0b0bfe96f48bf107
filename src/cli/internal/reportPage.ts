/** The page of a report: one file with its style, its script and its data, which asks for nothing else. */
import { createHash } from "node:crypto"
import * as Axes from "./reportAxes.ts"
import { dataOf, type Shade, shadesOf } from "./reportData.ts"
import type { Figures } from "./reportFigures.ts"
import * as Format from "./reportFormat.ts"
import { html, Html, json } from "./reportHtml.ts"
import { cut } from "./reportKept.ts"
import { scriptOf } from "./reportScript.ts"
import { header, notes, sections } from "./reportSections.ts"
import { style } from "./reportStyle.ts"

/** What the page says of the file besides its figures. */
export interface About {
  /** The name of the records' file. */
  readonly name: string
  /** Items of the input, where known. */
  readonly total: number | undefined
  /** The last line was cut off. */
  readonly isTorn: boolean
}

/** `'sha256-…'` of an inline script or style, which then may be there. */
const allowed = (text: string): string => `'sha256-${createHash("sha256").update(text).digest("base64")}'`

/** An element that holds our own text as it is, letter by letter: its hash is in the policy. */
const element = (name: "script" | "style", text: string): Html => new Html(`<${name}>${text}</${name}>`)

/** The whole page; `chartJs` is the source of Chart.js, as a script that makes the global `Chart`. */
export const render = (figures: Figures, about: About, chartJs: string): string => {
  const script = scriptOf(Format, Axes)
  const policy = [
    "default-src 'none'",
    `script-src ${allowed(chartJs)} ${allowed(script)}`,
    `style-src ${allowed(style)}`,
    "img-src data:",
    "base-uri 'none'",
    "form-action 'none'"
  ].join("; ")
  const shades: ReadonlyArray<Shade> = shadesOf(figures.timeline)
  return html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${policy}" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <meta name="referrer" content="no-referrer" />
        <title>Batch report: ${cut(about.name, 120)}</title>
        <link rel="icon" href="data:," />
        ${element("style", style)}
      </head>
      <body>
        <main>${header(figures, about)} ${notes(figures, about)} ${sections(figures, shades)}</main>
        ${json("data", dataOf(figures))} ${element("script", chartJs)} ${element("script", script)}
      </body>
    </html> `.text
}
