import pytest

from webapp.markdown import plain


def test_plain_text_is_shown_as_it_is():
    assert plain('<b onclick="x">&amp;') == "&lt;b onclick=&#34;x&#34;&gt;&amp;amp;"


@pytest.mark.parametrize("cut", range(12))
def test_pieces_of_plain_text_add_up_to_the_whole(cut):
    text = "a<b>\r\n& 汉字😀"
    assert plain(text[:cut]) + plain(text[cut:]) == plain(text)
