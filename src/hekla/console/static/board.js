// The board of models that write text: a row per tenant, graded.

const $ = (id) => document.getElementById(id);

export function showBoard(models) {
  $("sla").hidden = !models.length;
  $("sla-rows").replaceChildren(...models.flatMap((model) => {
    const tenants = model.tenants.length ? model.tenants : [{ tenant: "", grade: null, tokens_per_s: 0 }];
    return tenants.map((tenant, at) => row(model, tenant, at === 0));
  }));
}

function row(model, tenant, isFirst) {
  const made = document.createElement("tr");
  const grade = document.createElement("span");
  grade.className = `grade ${tenant.grade ?? "idle"}`;
  grade.textContent = tenant.grade === "none" ? "below bronze" : tenant.grade ?? "idle";
  grade.title = Object.entries(tenant.grades ?? {}).map(([name, found]) => `${name.replace("_", " ")}: ${found ?? "–"}`).join("\n");
  made.append(cell(isFirst ? model.model : ""), cell(tenant.tenant || "–"), cell(grade),
    cell(tenant.tokens_per_s.toFixed(1), true), cell(milliseconds(tenant.first_token_p95_ms), true),
    cell(milliseconds(tenant.between_tokens_p95_ms), true), cell(tenant.answer_tokens_per_s?.toFixed(1) ?? "–", true),
    cell(isFirst ? model.running : "", true), cell(isFirst ? model.waiting : "", true),
    cell(isFirst ? `${model.free_pages} of ${model.pages}` : "", true));
  return made;
}

function cell(content, isNumber = false) {
  const made = document.createElement("td");
  made.append(content);
  if (isNumber) made.className = "number";
  return made;
}

const milliseconds = (value) => (value == null ? "–" : `${value.toFixed(value < 10 ? 1 : 0)} ms`);
