"""What is masked of the variables that a run is given: secrets, and no ordinary words."""

from kit.tables import each

from marianned.masks import Mask, secrets_given, secrets_of

ORDINARY = {
    "MODE": "production",
    "REGION": "us-east-1",
    "VERSION": "1.4.0-rc2",
    "DAY": "2026-11-29",
    "REPOSITORY": "/srv/data/Some_Project/main",
    "API_URL": "https://api.example.com:8443/v1?mode=full",
    "MODEL": "claude-sonnet-4-5-20250929",
    "COUNT": "1000000",
    "GREETING": "Hello world, how are you?",
    "NAME": "JörgMüller".lower(),
    "LEVEL": "WARNING",
    "EMPTY": "",
}
SECRET = {
    "DEPLOY_KEY": "letmein",
    "MYSECRET": "zebra",
    "GITHUB_TOKEN": "correct-horse",
    "DB_PASSWORD_STAGING": "hunter",
    "DB_PASS": "sesame",
    "LOGIN": "hunter2",
    "GIVEN": "sk-ant-api03-Ab9dE-xYz0123",
    "PLAIN": "QWxhZGRpbjpvcGVuc2VzYW1l",
    "HEX": "deadbeefdeadbeefdeadbeef",
    "ID": "3f2b8a9c-58cc-4372-a567-0e02b2c3d479",
    "DIGITS": "4929123412341234",
    "DATABASE_URL": "postgres://app:sesame@db.example.com/main",
}


@each("name", ORDINARY)
def test_an_ordinary_value_is_no_secret(name: str) -> None:
    assert secrets_given({name: ORDINARY[name]}) == []


@each("name", SECRET)
def test_a_value_is_a_secret_by_its_name_or_by_what_it_looks_like(name: str) -> None:
    assert secrets_given({name: SECRET[name]}) == [SECRET[name]]


def test_of_the_daemons_own_environment_names_alone_tell() -> None:
    environ = {"SSH_AUTH_SOCK": "/tmp/ssh-XXXX1234ab/agent.7", "PWD": "/home/x", "OPENAI_API_KEY": "sk-1"}
    assert secrets_of(environ) == ["sk-1"]


def test_the_password_of_a_url_is_masked_alone_too() -> None:
    mask = Mask(secrets_given({"DATABASE_URL": "postgres://app:sesame@db/main"}))
    assert mask.text("psql: postgres://app:sesame@db/main: sesame is wrong") == "psql: ***: *** is wrong"


def test_what_is_masked_is_masked_as_urls_and_json_write_it() -> None:
    mask = Mask(['two"lines\nand / more'])
    assert mask.text('got "two\\"lines\\nand / more"') == 'got "***"'
    assert mask.text("?q=two%22lines%0Aand%20%2F%20more&x") == "?q=***&x"


@each("written", [r"p\u00e4ss\"9\u00e9", r"p\u00e4ss\/\"9\u00e9", 'päss/\\"9é', r"päss\/\"9é"])
def test_a_secret_is_masked_however_json_writes_it(written):
    secret = 'päss/"9é' if "/" in written else 'päss"9é'
    assert written not in Mask([secret]).text(f'{{"key": "{written}"}}')
