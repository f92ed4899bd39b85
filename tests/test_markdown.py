import pytest

from webapp.markdown import render


def test_html_is_shown_and_not_obeyed():
    assert render('<b onclick="x">&amp;') == "&lt;b onclick=&#34;x&#34;&gt;&amp;amp;"


@pytest.mark.parametrize("cut", range(12))
def test_pieces_add_up_to_the_whole(cut):
    text = "a<b>\r\n& 汉字😀"
    assert render(text[:cut]) + render(text[cut:]) == render(text)
