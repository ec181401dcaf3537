"use strict";

// The clipboard's API exists on HTTPS and localhost only; elsewhere the text is selected and copied the old way.
window.copyText = (element) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(element.textContent);
    const range = document.createRange();
    range.selectNodeContents(element);
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    document.execCommand("copy");
};
