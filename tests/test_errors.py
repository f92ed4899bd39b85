import pytest


def test_an_unknown_page_says_so_and_leads_back(client):
    response = client.get("/nowhere")
    assert response.status_code == 404
    assert "That did not work" in response.text
    assert 'href="/"' in response.text


def test_reading_what_only_changes_is_refused(chat):
    response = chat.client.get(f"/conversations/{chat.id}/ask")
    assert response.status_code == 405
    assert "takes only what a form sends" in response.text


@pytest.mark.parametrize("htmx", [False, True])
def test_what_nobody_foresaw_is_a_message_and_not_a_trace(chat, app, monkeypatch, caplog, htmx):
    app.config["PROPAGATE_EXCEPTIONS"] = False
    monkeypatch.setattr(app.extensions["answers"], "begin", lambda *_: 1 / 0)
    response = chat.ask("One?", htmx=htmx)
    assert response.status_code == 500
    assert "Something went wrong here" in response.text
    assert "division" not in response.text
    assert "division" in caplog.text


@pytest.mark.parametrize("htmx", [False, True])
def test_a_full_disk_is_told(chat, app, monkeypatch, openai, htmx):
    monkeypatch.setattr(
        app.extensions["store"], "save", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device"))
    )
    response = chat.ask("One?", htmx=htmx)
    assert response.status_code == 503
    assert "No space left on device" in response.text
    assert htmx or "One?" in response.text
    assert openai.bodies == []


def test_a_folder_that_another_process_uses_is_told(client, monkeypatch):
    from webapp import store

    def taken(folder):
        raise store.FolderTaken(f"Another Parley uses the folder {folder}.")

    monkeypatch.setattr(store, "hold", taken)
    response = client.get("/")
    assert response.status_code == 503
    assert "Another Parley uses the folder" in response.text
