"""`--format` templates say what Docker's would."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firkin.cli.template import Template
from firkin.cli.template_functions import FUNCTIONS
from firkin.errors import UsageError

CONTAINER = {
    "Id": "3f1c",
    "Name": "web",
    "State": {"Status": "running", "Pid": 7, "OOMKilled": False, "Health": None},
    "Config": {"Labels": {"team": "red", "tier": "1"}, "Cmd": ["sh", "-c", "true"], "Env": ["A=1", "B=2"]},
    "Ports": [],
    "Cpus": 1.5,
}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("", ""),
        ("plain } text {", "plain } text {"),
        ("{{.Id}}", "3f1c"),
        ("{{ .Id }}/{{.Name}}", "3f1c/web"),
        ("{{.State.Status}}", "running"),
        ("{{.ID}} {{.state.status}}", "3f1c running"),
        ("{{.State.OOMKilled}} {{.State.Pid}} {{.Cpus}}", "false 7 1.5"),
        ("{{.Config.Cmd}}", "[sh -c true]"),
        ("{{.Config.Labels}}", "map[team:red tier:1]"),
        ("{{.Config.Labels.team}} {{.Config.Labels.owner}}", "red <no value>"),
        ('{{index .Config.Labels "team"}} {{index .Config.Cmd 2}}', "red true"),
        ("{{json .State}}", '{"Status":"running","Pid":7,"OOMKilled":false,"Health":null}'),
        ("{{.State.Status | upper | printf `%-9s|`}}", "RUNNING  |"),
        ('{{printf "%s has %03d (%q)" .Name .State.Pid .Id}}', 'web has 007 ("3f1c")'),
        ('{{join .Config.Env ","}} {{len .Config.Env}}', "A=1,B=2 2"),
        ("{{range .Config.Env}}<{{.}}>{{end}}", "<A=1><B=2>"),
        ("{{range $i, $e := .Config.Env}}{{$i}}:{{$e}} {{end}}", "0:A=1 1:B=2 "),
        ("{{range $k, $v := .Config.Labels}}{{$k}}={{$v}};{{end}}", "team=red;tier=1;"),
        ("{{range .Ports}}x{{else}}none{{end}}", "none"),
        ("{{range .Config.Env}}{{$.Id}} {{end}}", "3f1c 3f1c "),
        ("{{if .Ports}}yes{{else}}no{{end}}", "no"),
        ('{{if eq .Name "db"}}db{{else if eq .Name "web" "www"}}web{{else}}?{{end}}', "web"),
        ("{{with .State}}{{.Pid}}{{end}}", "7"),
        ("{{$n := .Name}}{{if true}}{{$n}}{{end}}", "web"),
        ("{{if and .Id (not .Ports)}}ok{{end}} {{or .Ports .Name}}", "ok web"),
        ("{{(index .Config.Cmd 0) | len}}", "2"),
        ("a  {{- .Id -}}  b", "a3f1cb"),
        ("{{/* a remark */}}{{.Id}}", "3f1c"),
        (r'{{"a\tb"}}{{`\t`}}', "a\tb\\t"),
        ("{{slice .Name 1}} {{truncate .Name 2}} {{title .Name}}", "eb we Web"),
        ('{{range split "a:b" ":"}}{{.}} {{end}}', "a b "),
        ("{{lt .State.Pid 8}} {{ge .State.Pid 8}}", "true false"),
        ("{{println .Name 1}}", "web 1\n"),
    ],
)
def test_a_template_renders_as_go_would(template: str, text: str) -> None:
    assert Template.parse(template).render(CONTAINER) == text


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{.Id", "}} is missing"),
        ("{{}}", "empty"),
        ("{{if .Id}}x", "{{if}} has no {{end}}"),
        ("x{{end}}", "{{end}} closes nothing"),
        ("{{shout .Id}}", "no function 'shout'"),
        ("{{.Id ? 1}}", "cannot read '? 1}}'"),
        ("{{.Id .Name}}", "unexpected '.Name'"),
        ('{{template "x"}}', "no function 'template'"),
        ("{{" + "(" * 60 + ".Id" + ")" * 60 + "}}", "nested deeper"),
    ],
)
def test_what_is_not_a_template_is_refused_with_the_reason(template: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        Template.parse(template)
    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{.Nmae}}", "has no .Nmae; it has Id, Name, State"),
        ("{{.State.Health.Status}}", ".State.Health is absent"),
        ("{{.Name.First}}", ".Name is not an object"),
        ("{{len .Cpus}}", "len cannot be applied to 1.5"),
        ("{{index .Config.Cmd 9}}", "index cannot be applied"),
        ("{{range .Name}}{{end}}", "cannot range over 'web'"),
        ("{{$x}}", "no variable $x"),
        ('{{printf "%d" .Name}}', "printf cannot be applied"),
        ('{{printf "%s"}}', "printf cannot be applied"),
    ],
)
def test_a_template_that_does_not_fit_the_data_says_what_would(template: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        Template.parse(template).render(CONTAINER)
    assert why in str(caught.value)


DATA = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(DATA)
def test_json_of_the_dot_loads_back_to_the_data(data: object) -> None:
    assert json.loads(Template.parse("{{json .}}").render(data)) == data


@given(st.text().filter(lambda text: "{{" not in text))
def test_text_without_actions_stays_as_it_is(text: str) -> None:
    assert Template.parse(text).render({}) == text


WORDS = re.split(
    r"\s+",
    """{{ }} - .Id . $ $x := , | ( ) if else end range with json index printf len slice pad "%d%s" ` " 1 -2
    nil /* */ text""",
)
ACTIONS = st.lists(st.sampled_from([*WORDS, " ", "\n"]), max_size=25).map("".join)


@given(ACTIONS, DATA)
def test_no_template_raises_anything_but_a_usage_error(text: str, data: object) -> None:
    try:
        Template.parse(text).render(data)
    except UsageError:
        pass


def test_the_reference_page_has_every_function() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "formats.md").read_text()
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert set(re.findall(r"`(\w+)`", " ".join(rows))) == set(FUNCTIONS)
