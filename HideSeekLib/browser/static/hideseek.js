// Keys and uploads of the review page; everything else is decided on the server.
(() => {
  // Told to a page that showed the token, which trame takes out of the address.
  const secret = () => (window.trame && window.trame.state.get("token")) || "";

  // Back into the address: a page that is loaded again must show it again.
  const remember = () => {
    if (!secret()) return void setTimeout(remember, 100);
    window.history.replaceState(null, "", `?secret=${encodeURIComponent(secret())}`);
  };
  remember();

  const KEYS = ["a", "x", "u", "n", "p", "f", "d", "escape"];

  window.addEventListener("keydown", (event) => {
    const target = event.target;
    const typing =
      target.isContentEditable ||
      target.tagName === "TEXTAREA" ||
      (target.tagName === "INPUT" && !["checkbox", "range", "button"].includes(target.type));
    if (typing || event.altKey || !window.trame) return;
    const key = event.key.toLowerCase();
    const control = event.ctrlKey || event.metaKey;
    if (control && key === "z") {
      event.preventDefault();
      window.trame.trigger("key", [event.shiftKey ? "redo" : "undo"]);
    } else if (!control && event.shiftKey && key === "n") {
      window.trame.trigger("key", ["next_case"]);
    } else if (!control && KEYS.includes(key)) {
      window.trame.trigger("key", [key]);
    }
  });

  // Files go by HTTP, one after the other: a CT is too large for a message of the web socket.
  window.hideseekUpload = async (files, purpose = "case") => {
    const chosen = [...files];
    if (!chosen.length) return;
    await window.trame.trigger("upload_begins", [chosen.length]);
    const names = [];
    for (const file of chosen) {
      const url = `upload?secret=${encodeURIComponent(secret())}&name=${encodeURIComponent(file.name)}`;
      const answer = await fetch(url, { method: "POST", body: file });
      if (!answer.ok) {
        await window.trame.trigger("upload_failed", [await answer.text()]);
        return;
      }
      names.push(await answer.text());
    }
    await window.trame.trigger("upload_ends", [names, purpose]);
  };

  window.hideseekFile = (name) => `files/${encodeURIComponent(name)}?secret=${encodeURIComponent(secret())}`;
})();
