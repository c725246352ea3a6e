"""Browser: the upload form, the requests, one request. Everything works without JavaScript."""

from http import HTTPStatus

from flask import Blueprint, current_app, flash, g, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_wtf import FlaskForm
from flask_wtf.file import FileField, FileRequired
from werkzeug.exceptions import HTTPException
from wtforms import BooleanField, IntegerField, PasswordField, SelectField, SubmitField, URLField
from wtforms.fields.choices import SelectChoice
from wtforms.validators import DataRequired, NumberRange, Optional

from image_processor.answers import Answers
from image_processor.door import SIGN_IN_PATH, Door
from image_processor.errors import InvalidCSV, RequestError, Unauthorized
from image_processor.uploads import Uploads

REFRESH_SECONDS = 2

pages = Blueprint("pages", __name__)


class UploadForm(FlaskForm):  # type: ignore[misc]
    """The upload form, with its CSRF token."""

    file = FileField("Catalogue (CSV)", validators=[FileRequired("Choose the CSV file of your catalogue.")])
    quality = IntegerField("Quality (1–95)", validators=[Optional(), NumberRange(1, 95)])
    max_dimension = IntegerField(
        "Longest side in pixels (0 = never resize)", validators=[Optional(), NumberRange(0, 65_500)]
    )
    format = SelectField(
        "Format",
        choices=[
            SelectChoice("keep", "Keep each image's own"),
            SelectChoice("jpeg", "JPEG"),
            SelectChoice("webp", "WebP"),
            SelectChoice("avif", "AVIF"),
            SelectChoice("png", "PNG"),
        ],
    )
    webhook_url = URLField("Webhook URL (optional)", validators=[Optional()])
    skip = BooleanField("Skip rows with errors and work the good ones")
    submit = SubmitField("Upload and compress")

    def options(self) -> dict[str, object]:
        """The options that were chosen, by the names of the API."""
        fields = (self.quality, self.max_dimension, self.format, self.webhook_url)
        chosen: dict[str, object] = {field.name: field.data for field in fields if field.data not in (None, "")}
        return chosen | {"on_invalid": "skip" if self.skip.data else "reject"}


class SignInForm(FlaskForm):  # type: ignore[misc]
    """The key, for a browser."""

    key = PasswordField("API key", validators=[DataRequired("Enter the API key of this server.")])
    submit = SubmitField("Sign in")


@pages.route("/", methods=["GET", "POST"])
def index() -> ResponseReturnValue:
    """The upload form with the recent requests; a good upload leads to the page of its request."""
    uploads: Uploads = current_app.extensions["uploads"]
    defaults = uploads.options()
    form = UploadForm(quality=defaults.quality, max_dimension=defaults.max_dimension)
    if not form.validate_on_submit():
        return _index(form, status=HTTPStatus.BAD_REQUEST if form.is_submitted() else HTTPStatus.OK)
    try:
        _door().count_upload()
        options = uploads.options(**form.options())
        accepted = uploads.accept_upload(form.file.data.read(), form.file.data.filename or "", options, g.base_url)
    except RequestError as error:
        return _index(form, error, HTTPStatus(error.status))
    flash("Your catalogue was accepted.", "success")
    return redirect(url_for("pages.one_request", request_id=accepted.id), HTTPStatus.SEE_OTHER)


@pages.route(SIGN_IN_PATH, methods=["GET", "POST"])
def sign_in() -> ResponseReturnValue:
    """Ask for the API key, once per browser; go on to where the visitor wanted to go."""
    form = SignInForm()
    wanted = request.args.get("next", "")
    target = wanted if wanted.startswith("/") and not wanted.startswith(("//", "/\\")) else url_for("pages.index")
    if not _door().locked:
        return redirect(target)
    status = HTTPStatus.OK
    if form.validate_on_submit():
        if _door().sign_in(form.key.data):
            return redirect(target, HTTPStatus.SEE_OTHER)
        form.key.errors = ["This is not the key of this server."]
        status = HTTPStatus.FORBIDDEN
    return render_template("sign_in.html", form=form), status


@pages.get("/requests")
def history() -> ResponseReturnValue:
    """The newest requests."""
    return render_template("requests.html", requests=_answers().recent())


@pages.get("/requests/<request_id>")
def one_request(request_id: str) -> ResponseReturnValue:
    """One request: its progress, then its result."""
    status = _answers().status(request_id)
    return render_template("request.html", status=status, refresh=None if status.done else REFRESH_SECONDS)


def error_page(error: RequestError | HTTPException) -> ResponseReturnValue:
    """The page that says what went wrong, and where to go on; without the key, the way to the sign-in page."""
    if isinstance(error, Unauthorized):
        return redirect(url_for("pages.sign_in", next=request.full_path.rstrip("?")), HTTPStatus.SEE_OTHER)
    if isinstance(error, RequestError):
        title, detail, status = error.title, error.detail, error.status
    else:
        title, detail, status = error.name, error.description or "", error.code or 500
    return render_template("error.html", title=title, detail=detail), status


def _index(
    form: UploadForm, error: RequestError | None = None, status: HTTPStatus = HTTPStatus.OK
) -> ResponseReturnValue:
    problems = error.problems[: InvalidCSV.MAX_LISTED] if isinstance(error, InvalidCSV) else []
    return (
        render_template("index.html", form=form, error=error, problems=problems, requests=_answers().recent()),
        status,
    )


def _door() -> Door:
    return current_app.extensions["door"]  # type: ignore[no-any-return]


def _answers() -> Answers:
    return current_app.extensions["answers"]  # type: ignore[no-any-return]
