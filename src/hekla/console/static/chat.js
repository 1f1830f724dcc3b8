// A chat box: the conversation is kept here and sent whole; the answer is shown as it comes.
import { stream } from "/console/protocol.js";

const $ = (id) => document.getElementById(id);
const messages = [];
let going = null; // the AbortController of the answer being written

export function offerChat(models) {
  const names = models.filter((model) => model.is_ready && model.has_chat_template).map((model) => model.model);
  const select = $("chat-model");
  const shown = [...select.options].map((option) => option.value);
  if (names.join() !== shown.join()) {
    const chosen = select.value;
    select.replaceChildren(...names.map((name) => new Option(name, name, false, name === chosen)));
  }
  $("chat-card").hidden = !names.length && !messages.length;
}

$("chat-card").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("chat-text").value.trim();
  if (text && !going) answer(text);
});
$("chat-text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("chat-card").requestSubmit();
  }
});
$("chat-stop").addEventListener("click", () => going?.abort());
$("chat-reset").addEventListener("click", () => {
  going?.abort();
  going = null;
  busy(false);
  messages.length = 0;
  $("chat-log").replaceChildren();
  $("chat-speed").textContent = "";
  $("chat-text").focus();
});

async function answer(text) {
  messages.push({ role: "user", content: text });
  $("chat-text").value = "";
  say("user", text);
  const box = say("assistant writing", "");
  const mine = going = new AbortController();
  busy(true);
  let said = "", tokens = 0, first = 0;
  const asked = performance.now();
  try {
    // Small models ramble at OpenAI's temperature of 1.
    const options = { temperature: 0.6, stream: true, stream_options: { include_usage: true } };
    const body = { model: $("chat-model").value, messages, ...options };
    for await (const { choices, usage } of stream("/v1/chat/completions", body, mine.signal)) {
      const piece = choices[0]?.delta.content;
      if (piece) {
        first ||= performance.now();
        said += piece;
        box.textContent = said;
        $("chat-log").scrollTop = $("chat-log").scrollHeight;
      }
      if (usage) tokens = usage.completion_tokens;
    }
  } catch (error) {
    if (error.name !== "AbortError") say("error", error.message);
  }
  box.classList.remove("writing");
  if (mine.signal.aborted && !box.isConnected) return; // a new chat was begun
  const seconds = (performance.now() - first) / 1000;
  if (tokens > 1 && seconds > 0) {
    const speed = (tokens / seconds).toFixed(1);
    $("chat-speed").textContent = `${tokens} tokens, ${speed} a second, first after ${(first - asked).toFixed(0)} ms`;
  }
  if (said) messages.push({ role: "assistant", content: said });
  else {
    messages.pop();
    box.remove();
  }
  if (going === mine) {
    going = null;
    busy(false);
  }
}

function say(kind, text) {
  const made = document.createElement("div");
  made.className = `said ${kind}`;
  made.textContent = text;
  $("chat-log").append(made);
  $("chat-log").scrollTop = $("chat-log").scrollHeight;
  return made;
}

function busy(isBusy) {
  $("chat-send").hidden = isBusy;
  $("chat-stop").hidden = !isBusy;
}
